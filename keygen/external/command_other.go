//go:build !linux

package external

import (
	"context"
	"errors"

	"github.com/keypost/keypost/keygen"
)

// run needs process groups and limits as Linux has them.
func (c *Command) run(context.Context, []byte, keygen.Request) ([]string, error) {
	return nil, errors.New("programs are run on Linux alone")
}
