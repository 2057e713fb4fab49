package cli

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/apitree"
	"github.com/castellan-project/castellan/internal/pve/client"
)

// Names of the environment variables that a pve:// target takes its credentials from.
const (
	envToken       = "CASTELLAN_PVE_TOKEN"
	envFingerprint = "CASTELLAN_PVE_FINGERPRINT"
)

// apiFlags say how the API of a cluster is reached.
type apiFlags struct {
	tokenFile, caFile, fingerprint, evidence string
}

func addAPIFlags(fl *pflag.FlagSet, f *apiFlags) {
	fl.StringVar(&f.tokenFile, "token-file", "", "`file` with the API token for pve://, user@realm!name=secret (default: $"+envToken+")")
	fl.StringVar(&f.caFile, "pve-ca", "", "`file` with the cluster's certificate authority for pve://, /etc/pve/pve-root-ca.pem")
	fl.StringVar(&f.fingerprint, "pve-fingerprint", "", "SHA-256 `fingerprint` of the certificate for pve:// (default: $"+envFingerprint+")")
	fl.StringVar(&f.evidence, "pve-evidence", "", "`directory` to keep the raw answers of pve:// in, without secrets")
}

// openAPI connects to the API of a cluster and reads it.
func (a *app) openAPI(ctx context.Context, name string, t *targetFlags) (*opened, error) {
	o, err := a.apiOptions(strings.TrimPrefix(name, "pve://"), &t.api)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", name, err)
	}
	c, err := client.New(o)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", name, err)
	}
	tree, err := apitree.Open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", name, err)
	}
	closing := func() error { return nil }
	if t.api.evidence != "" {
		dir := filepath.Join(t.api.evidence, strings.ReplaceAll(c.Host(), ":", "_"))
		if err := keepEvidence(dir, tree.Evidence()); err != nil {
			return nil, err
		}
	}
	return &opened{reader: tree, desc: tree.Describe(name, a.now()), close: closing,
		partial: func() ([]string, []string) { return tree.Unread(), tree.Limits() }}, nil
}

// apiOptions reads "[user@]host[:port]", the token and what the certificate has to be.
func (a *app) apiOptions(address string, f *apiFlags) (client.Options, error) {
	o := client.Options{Fingerprint: f.fingerprint}
	user, host, ok := cutUser(strings.TrimSuffix(address, "/"))
	if !ok {
		user, host = "", strings.TrimSuffix(address, "/")
	}
	o.Host = host
	var err error
	if o.Token, err = a.apiToken(f); err != nil {
		return o, err
	}
	if owner, _, _ := strings.Cut(o.Token, "!"); user != "" && user != owner {
		return o, fmt.Errorf("the token belongs to %s, not to %s", owner, user)
	}
	if o.Fingerprint == "" && f.caFile == "" {
		o.Fingerprint = a.env(envFingerprint)
	}
	if f.caFile != "" {
		pem, err := os.ReadFile(f.caFile)
		if err != nil {
			return o, fmt.Errorf("cannot read the certificate authority: %w", err)
		}
		o.CA, o.CAName = x509.NewCertPool(), f.caFile
		if !o.CA.AppendCertsFromPEM(pem) {
			return o, fmt.Errorf("%s holds no certificate in PEM form", f.caFile)
		}
	}
	return o, nil
}

// cutUser takes what is before the last "@" of an address; names of users may hold one, too.
func cutUser(s string) (user, address string, ok bool) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// apiToken is the token of the file, else of the environment. Its value is shown nowhere.
func (a *app) apiToken(f *apiFlags) (string, error) {
	token := a.env(envToken)
	if f.tokenFile != "" {
		b, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return "", fmt.Errorf("cannot read the API token: %w", err)
		}
		if st, err := os.Stat(f.tokenFile); err == nil && st.Mode().Perm()&0o077 != 0 {
			fmt.Fprintf(a.err, "note: %s can be read by others; chmod 600 it\n", f.tokenFile)
		}
		token = string(b)
	}
	token = strings.TrimPrefix(strings.TrimSpace(token), "PVEAPIToken=")
	if token == "" {
		return "", errors.New("there is no API token; set " + envToken + "=user@realm!name=secret or pass --token-file (docs/025-api.md says how to make one)")
	}
	return token, nil
}

// keepEvidence writes each answer to a file named as a copy of a host names recorded answers, so that only the owner can read it.
func keepEvidence(dir string, answers map[string]json.RawMessage) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot keep the evidence: %w", err)
	}
	for resource, data := range answers {
		if err := os.WriteFile(filepath.Join(dir, inventory.APICommand(resource).Name), append(data, '\n'), 0o600); err != nil {
			return fmt.Errorf("cannot keep the evidence: %w", err)
		}
	}
	return nil
}
