package lockout

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/pam"
	"github.com/castellan-project/castellan/internal/debian/passwd"
	"github.com/castellan-project/castellan/internal/host"
)

// stack reads a service of PAM. One that has no file is "other" (pam(8)).
func (st *state) stack(service string) ([]pam.Entry, error) {
	read := func(name string) ([]byte, error) { return st.r.ReadFile(path.Join("/etc/pam.d", path.Clean("/"+name))) }
	entries, err := pam.Stack(service, read)
	if host.NotExist(err) {
		if _, gone := st.r.Stat("/etc/pam.d/" + service); host.NotExist(gone) {
			return pam.Stack("other", read)
		}
	}
	return entries, err
}

// pamAdmits runs the stack of a service in mind, for somebody who gives the right password: the control of each module
// decides what becomes of the whole (pam.conf(5)).
func pamAdmits(st, before *state, service string, u passwd.User, phases []string) judgement {
	entries, err := st.stack(service)
	if err != nil {
		if _, none := st.r.Stat("/etc/pam.d"); host.NotExist(none) {
			return judgement{ok: true} // a copy without PAM tells nothing, and none of it changes
		}
		return refuse("the PAM service %s cannot be read: %v", service, err).in("/etc/pam.d/" + service)
	}
	same, _ := before.stack(service)
	changed := securityChanged(st, before)
	for _, phase := range phases {
		r := &pamRun{st: st, user: u, phase: phase, same: same, changed: changed}
		if none := !slices.ContainsFunc(append(slices.Clone(entries), same...), func(e pam.Entry) bool { return e.Type == phase }); none {
			continue // a copy of parts of a host, whose stack is not whole before and after
		}
		if j := r.run(entries); !j.ok {
			return j
		}
	}
	return judgement{ok: true}
}

// securityChanged reports whether files differ that modules of PAM read.
func securityChanged(st, before *state) bool {
	if st == before {
		return false
	}
	for _, name := range []string{"/etc/security/access.conf", "/etc/security/time.conf", "/etc/security/group.conf", "/etc/securetty", "/etc/shells"} {
		a, errA := st.r.ReadFile(name)
		b, errB := before.r.ReadFile(name)
		if (errA == nil) != (errB == nil) || string(a) != string(b) {
			return true
		}
	}
	return false
}

// pamRun is one phase of a stack.
type pamRun struct {
	st      *state
	user    passwd.User
	phase   string
	same    []pam.Entry // the stack before
	changed bool        // files of modules changed
}

// run gives the outcome. What a module says that is not understood is taken from before: if the same line with the same
// files was there, it let the operator in; else nothing can be told.
func (r *pamRun) run(entries []pam.Entry) judgement {
	var list []pam.Entry
	for _, e := range entries {
		if e.Type == r.phase {
			list = append(list, e)
		}
	}
	positive, negative := false, pam.Entry{}
	for i := 0; i < len(list); i++ {
		e := list[i]
		result, known := r.result(e)
		if !known {
			return refuse("whether %s (%s, %s) lets %s in cannot be told", e.Module, r.phase, where(e.File, e.Line), r.user.Name).in(pamFile(e))
		}
		switch action := action(e.Control, result); action {
		case "ignore":
		case "ok":
			positive = true
		case "done":
			if positive = true; negative.Module == "" {
				return judgement{ok: true}
			}
		case "bad":
			if negative.Module == "" {
				negative = e
			}
		case "reset":
			positive, negative = false, pam.Entry{}
		case "die":
			if negative.Module == "" {
				negative = e
			}
			return r.failed(negative)
		default:
			n, err := strconv.Atoi(action)
			if err != nil || n < 0 {
				return refuse("the control %q (%s) is not understood", e.Control, where(e.File, e.Line)).in(pamFile(e))
			}
			i += n
		}
	}
	if negative.Module != "" {
		return r.failed(negative)
	}
	if !positive {
		return refuse("no module of PAM says yes to %s (%s), so nobody gets in", r.user.Name, r.phase)
	}
	return judgement{ok: true}
}

func (r *pamRun) failed(e pam.Entry) judgement {
	return refuse("PAM stops %s at %s (%s, %s)", r.user.Name, e.Module, r.phase, where(e.File, e.Line)).in(pamFile(e))
}

func pamFile(e pam.Entry) string { return path.Join("/etc/pam.d", path.Base(e.File)) }

// action is what a control makes of a result: the words of pam.conf(5) for required, requisite, sufficient and optional.
func action(control, result string) string {
	control = strings.ToLower(strings.TrimSpace(control))
	rules := map[string]string{
		"required":   "success=ok new_authtok_reqd=ok ignore=ignore default=bad",
		"requisite":  "success=ok new_authtok_reqd=ok ignore=ignore default=die",
		"sufficient": "success=done new_authtok_reqd=done default=ignore",
		"optional":   "success=ok new_authtok_reqd=ok default=ignore",
	}
	text, ok := rules[control]
	if !ok {
		text = strings.Trim(control, "[]")
	}
	other := "bad"
	for _, f := range strings.Fields(text) {
		k, v, _ := strings.Cut(f, "=")
		if k == result {
			return v
		}
		if k == "default" {
			other = v
		}
	}
	return other
}

// result is what a module returns for an account that is good and a password that is right. Sources are the manual pages
// of the modules and, for pam_faillock, modules/pam_faillock/pam_faillock.c: "authfail" counts a failure and never admits.
func (r *pamRun) result(e pam.Entry) (string, bool) {
	if !r.installed(e.Module) {
		if e.Silent {
			return "ignore", true
		}
		return "module_unknown", true
	}
	switch strings.TrimSuffix(path.Base(e.Module), ".so") {
	case "pam_unix", "pam_permit", "pam_localuser", "pam_env", "pam_limits", "pam_loginuid", "pam_mail", "pam_motd", "pam_umask", "pam_lastlog":
		return "success", true
	case "pam_nologin": // the file is asked for by itself
		if e.Flag("successok") {
			return "success", true
		}
		return "ignore", true
	case "pam_deny":
		return "auth_err", true
	case "pam_faillock":
		if e.Flag("authfail") {
			return "auth_err", true
		}
		return "success", true
	case "pam_faildelay", "pam_cap", "pam_group", "pam_systemd", "pam_keyinit", "pam_warn", "pam_echo":
		return "ignore", true
	case "pam_shells":
		return r.shells()
	}
	same := slices.ContainsFunc(r.same, func(x pam.Entry) bool {
		return x.Type == e.Type && x.Module == e.Module && x.Control == e.Control && slices.Equal(x.Args, e.Args)
	})
	return "success", same && !r.changed
}

// shells asks /etc/shells (pam_shells(8)).
func (r *pamRun) shells() (string, bool) {
	b, err := r.st.r.ReadFile("/etc/shells")
	if err != nil {
		return "", false
	}
	if slices.Contains(host.Lines(b), or(r.user.Shell, "/bin/sh")) {
		return "success", true
	}
	return "auth_err", true
}

// installed reports whether a module is there. A copy without the directory of modules tells nothing.
func (r *pamRun) installed(module string) bool {
	if strings.HasPrefix(module, "/") {
		_, err := r.st.r.Stat(module)
		return !host.NotExist(err)
	}
	any := false
	for _, dir := range []string{"/usr/lib/*/security", "/lib/*/security", "/usr/lib/security", "/lib/security"} {
		found, err := r.st.r.List(dir + "/pam_unix.so")
		any = any || err == nil && len(found) > 0
		if strings.ContainsAny(module, `*?[\`) {
			continue
		}
		if found, err := r.st.r.List(dir + "/" + module); err == nil && len(found) > 0 {
			return true
		}
	}
	return !any
}
