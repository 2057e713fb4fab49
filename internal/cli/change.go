package cli

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/castellan-project/castellan/internal/change"
	"github.com/castellan-project/castellan/internal/change/kinds"
	"github.com/castellan-project/castellan/internal/host"
)

// operatorFlags say who must still get in after a change, beside the operator of the present session.
type operatorFlags struct {
	admins []string
	// parsed are the admins once they are checked.
	parsed []change.Operator
	// as is the name that this host has for whoever sent us there: a plan made over SSH is for that target.
	as string
}

func addOperatorFlags(cmd *cobra.Command, f *operatorFlags) {
	cmd.Flags().StringArrayVar(&f.admins, "admin", nil,
		"`user@address` or user@network who must still get in by SSH afterwards, beside you; repeatable")
	cmd.Flags().StringVar(&f.as, "as", "", "the target as the sender names it")
	_ = cmd.Flags().MarkHidden("as") // it was declared in the line above
}

// check reads the flags.
func (f *operatorFlags) check() error {
	f.parsed = nil
	for _, s := range f.admins {
		o, err := parseOperator(s)
		if err != nil {
			return usage("--admin %s: %w", s, err)
		}
		f.parsed = append(f.parsed, o)
	}
	return nil
}

// parseOperator reads user@address or user@network.
func parseOperator(s string) (change.Operator, error) {
	i := strings.LastIndexByte(s, '@')
	if i <= 0 {
		return change.Operator{}, fmt.Errorf("write user@address or user@network, as in root@192.0.2.0/24")
	}
	user, from := s[:i], s[i+1:]
	// What login names look like everywhere (useradd(8)), and those of directories with a domain.
	for _, r := range user {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(`:/,*?"'`, r) {
			return change.Operator{}, fmt.Errorf("%q is no login name", user)
		}
	}
	o := change.Operator{User: user}
	if p, err := netip.ParsePrefix(from); err == nil {
		o.Address = p.Masked().String()
		return o, nil
	}
	addr, err := netip.ParseAddr(from)
	if err != nil || addr.Zone() != "" {
		return change.Operator{}, fmt.Errorf("%q is no address and no network; write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32", from)
	}
	o.Address = addr.Unmap().String()
	return o, nil
}

// planner opens a target that can be changed and returns what makes plans for it. The second result closes the target.
func (a *app) planner(ctx context.Context, target string, f *operatorFlags) (*change.Planner, func() error, error) {
	if err := f.check(); err != nil {
		return nil, nil, err
	}
	o, err := a.open(ctx, target, &targetFlags{})
	if err != nil {
		return nil, nil, exit(ExitTarget, err)
	}
	machine, ok := o.reader.(host.Machine)
	if !ok {
		o.close() //nolint:errcheck // it was only read
		return nil, nil, exit(ExitTarget, fmt.Errorf("%s can be read and not changed; a target that is changed is local or a directory", target))
	}
	h, err := hostOf(machine, o.desc)
	if err != nil {
		o.close() //nolint:errcheck // it was only read
		return nil, nil, exit(ExitTarget, err)
	}
	if f.as != "" {
		h.Target, h.Kind = f.as, "ssh"
	}
	return &change.Planner{Machine: machine, Target: o.desc, Host: h, Kinds: kinds.All(), Guards: guards(), Operators: f.parsed,
		Tool: "castellan " + Version(), Now: a.now()}, o.close, nil
}

// guards are all that judge whether somebody is locked out.
func guards() []change.Guard { return []change.Guard{operatorGuard{}} }

// hostOf says which host a plan is for.
func hostOf(r host.Reader, desc host.Description) (change.Host, error) {
	h := change.Host{Target: desc.Name, Kind: desc.Kind}
	if desc.Kind == "dir" {
		abs, err := filepath.Abs(desc.Name)
		if err != nil {
			return h, fmt.Errorf("cannot tell the place of %s: %w", desc.Name, err)
		}
		h.Target = abs
	}
	var err error
	if h.Hostname, err = firstWord(r, "/etc/hostname"); err != nil {
		return h, err
	}
	id, err := firstWord(r, "/etc/machine-id")
	if err != nil {
		return h, err
	}
	if id != "" && id != "uninitialized" {
		// machine-id(5): the id must not be shown; a keyed hash of it may.
		mac := hmac.New(sha256.New, []byte(id))
		mac.Write([]byte("castellan plan"))
		h.MachineID = hex.EncodeToString(mac.Sum(nil)[:16])
	}
	return h, nil
}

// firstWord is the first word of a file that holds one; empty when there is no such file.
func firstWord(r host.Reader, name string) (string, error) {
	b, err := r.ReadFile(name)
	if host.NotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if f := strings.Fields(string(b[:min(len(b), 1<<10)])); len(f) > 0 {
		return strings.ToValidUTF8(f[0], "?"), nil
	}
	return "", nil
}

// operatorGuard refuses what may cut a session when nobody is known who has to get in afterwards: then there is nobody for
// whom the other guards could answer.
type operatorGuard struct{}

// Judge implements [change.Guard].
func (operatorGuard) Judge(c change.Case) []change.Verdict {
	if c.Target.Kind == "dir" || len(c.Operators) > 0 {
		return nil
	}
	for _, x := range c.Changes {
		if x.Lockout == "session" || x.Lockout == "cluster" {
			return []change.Verdict{{Guard: "operator",
				Reason: x.Control + " can cut connections, and it is not known who has to get in afterwards: this is no SSH session",
				Add:    "--admin user@address, or --i-will-be-at-the-console with apply"}}
		}
	}
	return nil
}
