package cli

import (
	"context"
	"errors"

	"github.com/castellan-project/castellan/internal/posture"
)

func (a *app) sshFacts(context.Context, string, *targetFlags) (*posture.Facts, error) {
	return nil, errors.New("ssh")
}
