package report

import (
	"io"

	"github.com/castellan-project/castellan/internal/posture"
)

func writeHTML(io.Writer, *posture.Report, Options) error { return nil }
