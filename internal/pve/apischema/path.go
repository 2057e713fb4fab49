package apischema

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Path is a canonical request path.
type Path struct {
	// Format is "json", "extjs" or another word that follows /api2/.
	Format string
	// Parts are the decoded elements: ["nodes", "pve1", "qemu"].
	Parts []string
	// EncodedSlash is true when the path came with %2F, which only volume ids need.
	EncodedSlash bool
}

// String is the path without the format, decoded: "/nodes/pve1/qemu".
func (p Path) String() string { return "/" + strings.Join(p.Parts, "/") }

// Escaped is the form to forward: "/api2/json/nodes/pve1/qemu", each element encoded.
func (p Path) Escaped() string {
	var b strings.Builder
	b.WriteString("/api2/" + p.Format)
	for _, part := range p.Parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(part))
	}
	return b.String()
}

// maxPath bounds a request path in bytes; pveproxy refuses a request whose header is larger than 8 KiB (PVE::APIServer::AnyEvent).
const maxPath = 8 << 10

// Canonical reads a raw request path as pveproxy does: percent decoding of the whole path, once and before splitting
// (so that %2F separates), then /api2/FORMAT, then elements between any number of slashes. No case folding. What PVE
// would accept and nobody needs is refused: elements "." and "..", control bytes, broken escapes, an encoded percent sign that
// leaves an escape behind.
func Canonical(raw string) (Path, error) {
	if len(raw) > maxPath {
		return Path{}, fmt.Errorf("the path has %d bytes, over %d", len(raw), maxPath)
	}
	decoded, err := url.PathUnescape(raw)
	if err != nil {
		return Path{}, fmt.Errorf("the path has a broken escape: %w", err)
	}
	if strings.IndexFunc(decoded, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd || r >= 0x80 && r < 0xa0 }) >= 0 {
		return Path{}, fmt.Errorf("the path has control characters or is not UTF-8")
	}
	if _, again := url.PathUnescape(decoded); strings.Contains(decoded, "%") && again == nil {
		return Path{}, fmt.Errorf("the path is encoded twice")
	}
	rest, ok := strings.CutPrefix(decoded, "/api2/")
	if !ok {
		return Path{}, fmt.Errorf("the path is not below /api2/")
	}
	parts := strings.FieldsFunc(rest, func(r rune) bool { return r == '/' })
	if len(parts) == 0 || !format(parts[0]) {
		return Path{}, fmt.Errorf("the path has no format after /api2/; json and extjs are known")
	}
	if slices.Contains(parts, ".") || slices.Contains(parts, "..") {
		return Path{}, fmt.Errorf("the path has an element that is a dot or two")
	}
	return Path{Format: parts[0], Parts: parts[1:], EncodedSlash: strings.Contains(strings.ToLower(raw), "%2f")}, nil
}

// format reports whether s is one lower-case letter followed by lower-case letters and digits.
func format(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return len(s) > 1
}
