package main

import (
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/pve/client"
	"github.com/castellan-project/castellan/internal/pvetest"
)

// servePVE serves a tree as the API of a cluster for the rest of the script: pvetest DIR [PATTERN STATUS]. The secrets of tokens are
// those of etc/pve/priv/token.cfg in the tree. It sets PVE (the target), PVE_CA (a file) and PVE_FINGERPRINT. Resources that match
// PATTERN are answered with STATUS.
func servePVE(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 && len(args) != 3 {
		ts.Fatalf("usage: pvetest DIR [PATTERN STATUS]")
	}
	d, err := host.OpenDir(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { d.Close() })
	o := pvetest.Options{Tree: d, Now: time.Now, Tokens: map[string]string{}}
	secrets, err := d.ReadFile("/etc/pve/priv/token.cfg")
	ts.Check(err)
	for _, l := range host.Lines(secrets) {
		if id, secret, ok := strings.Cut(l, " "); ok {
			o.Tokens[id] = secret
		}
	}
	if len(args) == 3 {
		pattern := regexp.MustCompile(args[1])
		status, err := strconv.Atoi(args[2])
		ts.Check(err)
		o.Fault = func(r *http.Request) pvetest.Fault {
			if pattern.MatchString(r.URL.Path) {
				return pvetest.Fault{Status: status, Reason: "as the test wants it"}
			}
			return pvetest.Fault{}
		}
	}
	s, err := pvetest.Start(o)
	ts.Check(err)
	ts.Defer(func() { _ = s.Close() })
	ca := ts.MkAbs("pve-root-ca.pem")
	ts.Check(os.WriteFile(ca, s.CA(), 0o600))
	ts.Setenv("PVE", "pve://"+s.Addr())
	ts.Setenv("PVE_CA", ca)
	ts.Setenv("PVE_FINGERPRINT", client.Fingerprint(s.Certificate()))
}
