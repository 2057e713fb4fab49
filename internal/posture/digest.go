package posture

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Digest identifies a set of controls with their parameters: the SHA-256 of their canonical JSON, in hex.
func Digest(cs []Control) string {
	b, err := json.Marshal(cs)
	if err != nil {
		return "" // controls hold nothing that JSON cannot write
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
