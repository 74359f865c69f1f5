-- +goose Up

-- The code's normal form, found by its beginning; NULL as for an order's store.
ALTER TABLE license ADD COLUMN code_fold VARCHAR(255);
