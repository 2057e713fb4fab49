// Package bundle saves facts to a file and reads them back: zstd-compressed JSON with a version. A bundle holds what
// collectors observed and nothing else; secrets never become facts, so they are not in it either. Redact replaces
// the names and addresses as well.
package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/castellan-project/castellan/internal/posture"
)

// Format is the word that a bundle begins with, inside the compression.
const Format = "castellan-facts"

// MaxSize bounds the uncompressed bundle, in bytes. The facts of a host with 2,000 packages take under 1 MiB.
const MaxSize = 64 << 20

type document struct {
	Format  string         `json:"format"`
	Version int            `json:"version"`
	Facts   *posture.Facts `json:"facts"`
}

// Write saves facts. The same facts give the same bytes.
func Write(w io.Writer, f *posture.Facts) error {
	b, err := json.Marshal(document{Format: Format, Version: posture.FactsVersion, Facts: f})
	if err != nil {
		return fmt.Errorf("cannot encode the facts: %w", err)
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return fmt.Errorf("cannot compress the facts: %w", err)
	}
	if _, err := w.Write(z.EncodeAll(b, nil)); err != nil {
		return fmt.Errorf("cannot write the bundle: %w", err)
	}
	return nil
}

// Read reads a bundle. What is not a bundle, is cut short, or was written by a newer version, is an error that says
// so.
func Read(r io.Reader) (*posture.Facts, error) {
	packed, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read: %w", err)
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxSize))
	if err != nil {
		return nil, fmt.Errorf("cannot decompress: %w", err)
	}
	defer z.Close()
	b, err := z.DecodeAll(packed, nil)
	switch {
	case errors.Is(err, zstd.ErrMagicMismatch) || errors.Is(err, io.EOF):
		return nil, errors.New("this is not a bundle; write one with castellan collect -o FILE")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("the bundle is cut short; copy it again or collect anew")
	case err != nil:
		return nil, fmt.Errorf("the bundle is damaged: %w", err)
	case len(b) > MaxSize:
		return nil, fmt.Errorf("the bundle is larger than %d MiB", MaxSize>>20)
	case len(bytes.TrimSpace(b)) == 0:
		return nil, errors.New("the bundle is empty")
	}
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		if json.Unmarshal(b, &head) == nil && head.Version > posture.FactsVersion {
			return nil, newer(head.Version)
		}
		return nil, fmt.Errorf("the bundle is damaged: %w", err)
	}
	switch {
	case d.Format != Format:
		return nil, errors.New("this is not a bundle of castellan; write one with castellan collect -o FILE")
	case d.Version > posture.FactsVersion:
		return nil, newer(d.Version)
	case d.Version < 1 || d.Facts == nil:
		return nil, errors.New("the bundle holds no facts")
	}
	return d.Facts, nil
}

func newer(v int) error {
	return fmt.Errorf("the bundle has version %d, this castellan reads up to %d; use a newer castellan", v, posture.FactsVersion)
}
