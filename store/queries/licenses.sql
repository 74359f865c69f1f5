-- name: InsertLicense :exec
INSERT INTO license (id, order_id, ordinal, generation, product, code, code_hash, code_fold, type, status, test, seat_max, expires_at, note, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: LicenseByID :one
SELECT * FROM license WHERE id = ?;

-- name: LicenseByCode :one
SELECT * FROM license WHERE product = ? AND code_hash = ?;

-- name: ProductOfLicenses :one
-- A seek in the index (product, code_hash), like the two that follow.
SELECT product FROM license WHERE product = ? LIMIT 1;

-- name: NextProduct :one
SELECT product FROM license WHERE product > ? ORDER BY product LIMIT 1;

-- name: CountLicenses :one
SELECT COUNT(*) FROM license WHERE product = ?;

-- name: TouchLicense :execrows
UPDATE license SET updated_at = ? WHERE id = ?;

-- name: MarkReplaced :exec
UPDATE license SET replaced = TRUE, updated_at = ? WHERE id = ?;

-- name: SetLicenseStatus :exec
UPDATE license SET status = ?, updated_at = ? WHERE id = ?;

-- name: InsertReason :exec
INSERT INTO status_reason (id, license_id, source, reference, effect, created_at) VALUES (?, ?, ?, ?, ?, ?);

-- name: DeleteReasons :execrows
DELETE FROM status_reason WHERE license_id = ? AND source = ?;

-- name: ReasonsOfLicense :many
SELECT * FROM status_reason WHERE license_id = ? ORDER BY id;

-- name: InsertActivation :exec
INSERT INTO activation (id, license_id, fp_mac, salt, fp_hash, lease_id, lease_issued_at, lease_expires_at, machine_name, platform, app_version, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: ActivationByMachine :one
SELECT * FROM activation WHERE license_id = ? AND fp_mac = ?;

-- name: ActivationByID :one
SELECT * FROM activation WHERE id = ?;

-- name: ActivationsOfLicense :many
SELECT * FROM activation WHERE license_id = ? ORDER BY id;

-- name: RenewLease :execrows
UPDATE activation SET lease_id = ?, lease_issued_at = ?, lease_expires_at = ? WHERE id = ? AND lease_id = ?;

-- name: DeleteActivation :execrows
DELETE FROM activation WHERE license_id = ? AND fp_mac = ?;

-- name: DeleteActivations :execrows
DELETE FROM activation WHERE license_id = ?;

-- name: TakeSeat :execrows
UPDATE license SET used = used + 1
WHERE id = ? AND status = 'active' AND (expires_at IS NULL OR expires_at > ?) AND (seat_max = 0 OR used < seat_max);

-- name: ReleaseSeats :execrows
UPDATE license SET used = used - ?, updated_at = ? WHERE id = ?;

-- name: SeatByCode :one
-- What validate answers from, and no more: it is asked for most of all.
SELECT license.id, license.type, license.status, license.test, license.seat_max, license.used, license.expires_at,
  activation.id AS activation_id, activation.lease_id, activation.lease_issued_at, activation.lease_expires_at, activation.created_at
FROM license LEFT JOIN activation ON activation.license_id = license.id AND activation.fp_mac = ?
WHERE license.product = ? AND license.code_hash = ?;

-- name: SetUsed :exec
UPDATE license SET used = ?, created_at = ? WHERE id = ?;

-- name: EditLicense :exec
UPDATE license SET type = ?, seat_max = ?, expires_at = ?, note = ?, updated_at = ? WHERE id = ?;

-- name: DeleteActivationByID :execrows
DELETE FROM activation WHERE id = ? AND license_id = ?;
