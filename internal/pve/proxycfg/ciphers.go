package proxycfg

import (
	"fmt"
	"strings"
)

// Suite is a TLS cipher suite below TLS 1.3.
type Suite struct {
	Name, Protocol, Kx, Auth, Enc, Mac string
}

// AEAD is true for authenticated encryption.
func (s Suite) AEAD() bool { return s.Mac == "AEAD" }

// CBC is true for block ciphers in CBC mode.
func (s Suite) CBC() bool { return !s.AEAD() && s.Enc != "None" }

// Weakness says what speaks against a suite; empty for ECDHE with authenticated encryption. The order is that of how
// much it matters.
func (s Suite) Weakness() string {
	switch {
	case s.Enc == "None":
		return "no encryption"
	case s.Auth == "None":
		return "no authentication"
	case s.Kx == "RSA":
		return "static RSA key exchange, no forward secrecy"
	case s.Auth == "DSS":
		return "DSS signatures"
	case s.Kx == "DH":
		return "finite-field Diffie-Hellman"
	case s.CBC():
		return "CBC mode"
	}
	return ""
}

func suites() []Suite {
	var out []Suite
	for l := range strings.SplitSeq(strings.TrimSpace(suiteTable), "\n") {
		if f := strings.Fields(l); len(f) == 6 {
			out = append(out, Suite{f[0], f[1], f[2], f[3], f[4], f[5]})
		}
	}
	return out
}

// Ciphers evaluates an OpenSSL cipher string (openssl-ciphers(1)) at Debian's security level 2, in table order. An
// unknown keyword is an error: which suites it stands for is then not known.
func Ciphers(list string) ([]Suite, error) {
	all := suites()
	state := make([]int, len(all)) // 0 not in, 1 in, -1 killed
	for _, item := range strings.FieldsFunc(list, func(r rune) bool { return r == ':' || r == ',' || r == ' ' || r == ';' }) {
		if strings.HasPrefix(item, "@") {
			if item != "@STRENGTH" && item != "@SECLEVEL=2" {
				return nil, fmt.Errorf("cannot evaluate %q", clip(item))
			}
			continue
		}
		op := byte('+')
		if strings.IndexByte("!-+", item[0]) >= 0 {
			op, item = item[0], item[1:]
			if op == '+' {
				continue // moves suites to the end and adds none
			}
		}
		match, err := keyword(item)
		if err != nil {
			return nil, err
		}
		for i, s := range all {
			if !match(s) || state[i] < 0 {
				continue
			}
			switch op {
			case '!':
				state[i] = -1
			case '-':
				state[i] = 0
			default:
				state[i] = 1
			}
		}
	}
	var out []Suite
	for i, s := range all {
		if state[i] > 0 && levelTwo(s) {
			out = append(out, s)
		}
	}
	return out, nil
}

// levelTwo drops what security level 2 forbids (SSL_CTX_set_security_level(3)): no encryption, no authentication, MD5.
func levelTwo(s Suite) bool { return s.Enc != "None" && s.Auth != "None" && s.Mac != "MD5" }

// keyword translates an item, which may join several keywords with "+".
func keyword(item string) (func(Suite) bool, error) {
	var all []func(Suite) bool
	for k := range strings.SplitSeq(item, "+") {
		f, ok := keywordOf(k)
		if !ok {
			return nil, fmt.Errorf("cannot evaluate cipher keyword %q", clip(k))
		}
		all = append(all, f)
	}
	return func(s Suite) bool {
		for _, f := range all {
			if !f(s) {
				return false
			}
		}
		return true
	}, nil
}

func keywordOf(k string) (func(Suite) bool, bool) {
	for _, s := range suites() {
		if s.Name == k {
			return func(x Suite) bool { return x.Name == k }, true
		}
	}
	if f, ok := keyExchangeKeyword(k); ok {
		return f, true
	}
	return strengthKeyword(k)
}

// keyExchangeKeyword covers the keywords about key exchange and authentication. ECDH and DH include the anonymous forms.
func keyExchangeKeyword(k string) (func(Suite) bool, bool) {
	switch k {
	case "kRSA", "RSA":
		return func(s Suite) bool { return s.Kx == "RSA" }, true
	case "aRSA":
		return func(s Suite) bool { return s.Auth == "RSA" }, true
	case "kDHE", "kEDH", "DH":
		return func(s Suite) bool { return s.Kx == "DH" }, true
	case "DHE", "EDH":
		return func(s Suite) bool { return s.Kx == "DH" && s.Auth != "None" }, true
	case "ADH":
		return func(s Suite) bool { return s.Kx == "DH" && s.Auth == "None" }, true
	case "kECDHE", "kEECDH", "ECDH":
		return func(s Suite) bool { return s.Kx == "ECDH" }, true
	case "ECDHE", "EECDH":
		return func(s Suite) bool { return s.Kx == "ECDH" && s.Auth != "None" }, true
	case "AECDH":
		return func(s Suite) bool { return s.Kx == "ECDH" && s.Auth == "None" }, true
	case "aDSS", "DSS":
		return func(s Suite) bool { return s.Auth == "DSS" }, true
	case "aECDSA", "ECDSA":
		return func(s Suite) bool { return s.Auth == "ECDSA" }, true
	case "aNULL":
		return func(s Suite) bool { return s.Auth == "None" }, true
	case "PSK", "kPSK", "aPSK", "SRP", "kSRP", "aSRP", "kECDHEPSK", "kDHEPSK", "kRSAPSK", "kGOST", "aGOST", "EXP", "EXPORT", "LOW", "MEDIUM",
		"DES", "RC4", "RC2", "IDEA", "SEED", "3DES":
		// Nothing that pveproxy could offer: no pre-shared keys, and Debian's OpenSSL is built without the rest.
		return func(Suite) bool { return false }, true
	}
	return nil, false
}

// strengthKeyword covers the keywords about encryption, MAC, protocol and the collective ones.
func strengthKeyword(k string) (func(Suite) bool, bool) {
	enc := func(prefixes ...string) (func(Suite) bool, bool) {
		return func(s Suite) bool {
			for _, p := range prefixes {
				if strings.HasPrefix(s.Enc, p) {
					return true
				}
			}
			return false
		}, true
	}
	switch k {
	case "ALL":
		return func(s Suite) bool { return s.Enc != "None" }, true
	case "DEFAULT":
		return func(s Suite) bool {
			return s.Enc != "None" && s.Auth != "None" && s.Auth != "DSS" && !strings.Contains(s.Enc, "Camellia") &&
				!strings.Contains(s.Enc, "ARIA") && !strings.Contains(s.Enc, "CCM")
		}, true
	case "HIGH":
		return func(s Suite) bool { return s.Enc != "None" }, true
	case "eNULL", "NULL", "COMPLEMENTOFALL":
		return enc("None")
	case "AES":
		return enc("AES")
	case "AESGCM":
		return enc("AESGCM")
	case "AESCCM":
		return enc("AESCCM")
	case "AESCCM8":
		return enc("AESCCM8")
	case "CHACHA20":
		return enc("CHACHA20")
	case "CAMELLIA":
		return enc("Camellia")
	case "ARIA", "ARIAGCM":
		return enc("ARIA")
	case "AES128", "AES256", "CAMELLIA128", "CAMELLIA256", "ARIA128", "ARIA256":
		bits := "(" + k[len(k)-3:] + ")"
		name := map[byte]string{'E': "AES", 'A': "Camellia", 'R': "ARIA"}[k[1]]
		return func(s Suite) bool { return strings.HasPrefix(s.Enc, name) && strings.HasSuffix(s.Enc, bits) }, true
	case "SHA", "SHA1":
		return func(s Suite) bool { return s.Mac == "SHA1" }, true
	case "MD5", "SHA256", "SHA384":
		return func(s Suite) bool { return s.Mac == k }, true
	case "TLSv1.2", "SSLv3":
		return func(s Suite) bool { return s.Protocol == k }, true
	case "TLSv1", "TLSv1.0":
		return func(s Suite) bool { return s.Protocol == "TLSv1" }, true
	}
	return nil, false
}

// CipherSuites checks a CIPHERSUITES list for TLS 1.3 and returns its names. Every suite of TLS 1.3 has authenticated
// encryption; a name that does not exist is an error.
func CipherSuites(list string) ([]string, error) {
	var out []string
	for n := range strings.SplitSeq(list, ":") {
		switch n = strings.TrimSpace(n); n {
		case "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256", "TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256":
			out = append(out, n)
		case "":
		default:
			return nil, fmt.Errorf("%q is no suite of TLS 1.3", clip(n))
		}
	}
	return out, nil
}
