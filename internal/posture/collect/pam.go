package collect

import (
	"slices"
	"strconv"
	"strings"

	"github.com/castellan-project/castellan/internal/debian/logindefs"
	"github.com/castellan-project/castellan/internal/debian/pam"
	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/posture"
)

const (
	accPAMDir       = "/etc/pam.d/"
	accFaillockConf = "/etc/security/faillock.conf"
	accQualityConf  = "/etc/security/pwquality.conf"
	accHistoryConf  = "/etc/security/pwhistory.conf"
)

// pamServices are the services that let people in. A service that does not exist has no stack; PAM uses "other" then.
func pamServices() []string {
	return []string{"common-auth", "common-account", "common-password", "common-session", "common-session-noninteractive", "sshd", "login", "su", "su-l",
		"sudo", "proxmox-ve-auth", "other"}
}

func pamNeeds() []host.Need {
	return append(reads(accPAMDir+"*", accFaillockConf, accQualityConf, "/etc/security/pwquality.conf.d/*.conf", accHistoryConf),
		lists(accPAMDir+"*", "/etc/security/pwquality.conf.d/*.conf")...)
}

func collectPAM(c *Context, f *posture.PAMFacts, defs logindefs.Defs, defsErr error) {
	stacks := map[string][]pam.Entry{}
	var failed error
	for _, s := range pamServices() {
		list, err := pam.Stack(s, func(name string) ([]byte, error) { return c.Host.ReadFile(accPAMDir + name) })
		switch {
		case err == nil:
			stacks[s] = list
		case host.NotExist(err):
		default:
			failed = err
		}
	}
	if failed == nil && len(stacks) == 0 {
		failed = notCopied(accPAMDir + "common-auth")
	}
	if failed != nil {
		f.Stacks = posture.Unknown[map[string][]posture.PAMEntry](failed, accPAMDir)
	} else {
		f.Stacks = posture.Known(stackFacts(stacks), posture.Configured, accPAMDir)
	}
	p := pamView{c: c, stacks: stacks, err: failed}
	p.nullOK(f)
	p.hashMethod(f, defs, defsErr)
	p.su(f)
	p.mfa(f)
	p.faillock(&f.Faillock)
	p.quality(&f.Quality)
	p.history(f)
}

func stackFacts(stacks map[string][]pam.Entry) map[string][]posture.PAMEntry {
	out := map[string][]posture.PAMEntry{}
	for name, list := range stacks {
		entries := make([]posture.PAMEntry, 0, len(list))
		for _, e := range list {
			entries = append(entries, posture.PAMEntry{Type: e.Type, Control: e.Control, Module: e.Module, Args: orEmpty(e.Args), Source: source(e.File, e.Line)})
		}
		out[name] = entries
	}
	return out
}

// pamView answers questions about stacks.
type pamView struct {
	c      *Context
	stacks map[string][]pam.Entry
	err    error
}

// need returns a service's entries of a type, or why they are not known.
func (p pamView) need(service, kind string) ([]pam.Entry, error) {
	if p.err != nil {
		return nil, p.err
	}
	list, ok := p.stacks[service]
	if !ok {
		return nil, notCopied(accPAMDir + service)
	}
	var out []pam.Entry
	for _, e := range list {
		if e.Type == kind {
			out = append(out, e)
		}
	}
	return out, nil
}

func find(list []pam.Entry, module string) (pam.Entry, bool) {
	i := slices.IndexFunc(list, func(e pam.Entry) bool { return e.Module == module })
	if i < 0 {
		return pam.Entry{}, false
	}
	return list[i], true
}

func (p pamView) nullOK(f *posture.PAMFacts) {
	if _, err := p.need("common-auth", "auth"); err != nil {
		f.NullOK = posture.Unknown[[]string](err, accPAMDir+"common-auth")
		return
	}
	out := []string{}
	for _, s := range pamServices() {
		for _, e := range p.stacks[s] {
			if e.Module == "pam_unix.so" && (e.Flag("nullok") || e.Flag("nullok_secure")) {
				out = append(out, source(e.File, e.Line))
			}
		}
	}
	slices.Sort(out)
	f.NullOK = posture.Known(slices.Compact(out), posture.Configured, accPAMDir)
}

func (p pamView) hashMethod(f *posture.PAMFacts, defs logindefs.Defs, defsErr error) {
	list, err := p.need("common-password", "password")
	if err != nil {
		f.HashMethod = posture.Unknown[string](err, accPAMDir+"common-password")
		return
	}
	e, ok := find(list, "pam_unix.so")
	if !ok {
		f.HashMethod = posture.Unknown[string](posture.Problemf("not-found", "common-password does not use pam_unix"), accPAMDir+"common-password")
		return
	}
	for _, m := range []string{"yescrypt", "gost_yescrypt", "blowfish", "sha512", "sha256", "bigcrypt", "md5"} {
		if e.Flag(m) {
			f.HashMethod = posture.Known(m, posture.Configured, source(e.File, e.Line))
			return
		}
	}
	if defsErr != nil {
		f.HashMethod = posture.Unknown[string](defsErr, accLoginDefs)
		return
	}
	v, _ := defs.Get("ENCRYPT_METHOD")
	f.HashMethod = posture.Known(strings.ToLower(v.Text), originOf(v.Line), source(accLoginDefs, v.Line))
}

// su: pam_wheel limits su when it binds and is not turned around by deny. Without group= it means the group wheel, and GID 0
// when there is none (pam_wheel(8)).
func (p pamView) su(f *posture.PAMFacts) {
	list, err := p.need("su", "auth")
	if err != nil {
		f.SuRestricted, f.SuGroup = posture.Unknown[bool](err, accPAMDir+"su"), posture.Unknown[string](err, accPAMDir+"su")
		return
	}
	f.SuRestricted = posture.Known(false, posture.Configured, accPAMDir+"su")
	f.SuGroup = posture.Known("", posture.Configured, accPAMDir+"su")
	e, ok := find(list, "pam_wheel.so")
	if !ok || !e.Binding() || e.Flag("deny") {
		return
	}
	group, has := e.Arg("group")
	if !has {
		group = "root"
	}
	f.SuRestricted = posture.Known(true, posture.Configured, source(e.File, e.Line))
	f.SuGroup = posture.Known(group, posture.Configured, source(e.File, e.Line))
}

func (p pamView) mfa(f *posture.PAMFacts) {
	if p.err != nil {
		f.MFAServices = posture.Unknown[[]string](p.err, accPAMDir)
		return
	}
	out := []string{}
	for name, list := range p.stacks {
		if slices.ContainsFunc(list, func(e pam.Entry) bool {
			return e.Type == "auth" && slices.Contains([]string{"pam_google_authenticator.so", "pam_oath.so", "pam_u2f.so", "pam_yubico.so", "pam_duo.so", "pam_privacyidea.so"}, e.Module)
		}) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	f.MFAServices = posture.Known(out, posture.Configured, accPAMDir)
}

// conf reads a module's file; a missing one means defaults.
func (p pamView) conf(file string) (map[string]pam.Value, error) {
	b, err := p.c.Host.ReadFile(file)
	if err != nil && !host.NotExist(err) {
		return nil, err
	}
	return pam.ParseConf(b), nil
}

// option resolves a number: argument of the module, then its file, then its default.
func option(e pam.Entry, conf map[string]pam.Value, file, key string, standard int) posture.Fact[int] {
	var text, src string
	origin := posture.Configured
	if v, ok := e.Arg(key); ok {
		text, src = v, source(e.File, e.Line)
	} else if v, ok := conf[key]; ok {
		text, src = v.Text, source(file, v.Line)
	} else {
		return posture.Known(standard, posture.Default, "default of "+strings.TrimSuffix(e.Module, ".so"))
	}
	if text == "never" {
		text = "0"
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return posture.Unknown[int](posture.Problemf("malformed", "%s: %s is no number", src, key), src)
	}
	return posture.Known(n, origin, src)
}

// flag resolves a switch that is on when it is present.
func flag(e pam.Entry, conf map[string]pam.Value, file, key string) posture.Fact[bool] {
	if e.Flag(key) {
		return posture.Known(true, posture.Configured, source(e.File, e.Line))
	}
	if v, ok := conf[key]; ok {
		return posture.Known(true, posture.Configured, source(file, v.Line))
	}
	return posture.Known(false, posture.Default, "default of "+strings.TrimSuffix(e.Module, ".so"))
}

// faillock: defaults of pam_faillock(8): deny 3, fail_interval 900, unlock_time 600, root_unlock_time as unlock_time.
func (p pamView) faillock(f *posture.FaillockFacts) {
	list, err := p.need("common-auth", "auth")
	var conf map[string]pam.Value
	if err == nil {
		conf, err = p.conf(accFaillockConf)
	}
	if err != nil {
		f.Active, f.EvenDenyRoot = posture.Unknown[bool](err, accPAMDir+"common-auth"), posture.Unknown[bool](err, accFaillockConf)
		for _, n := range []*posture.Fact[int]{&f.Deny, &f.UnlockTime, &f.FailInterval, &f.RootUnlockTime} {
			*n = posture.Unknown[int](err, accFaillockConf)
		}
		return
	}
	pre, fail, unix := -1, -1, -1
	for i, e := range list {
		switch {
		case e.Module == "pam_faillock.so" && e.Flag("preauth") && e.Binding():
			pre = i
		case e.Module == "pam_faillock.so" && e.Flag("authfail"):
			fail = i
		case e.Module == "pam_unix.so" && unix < 0:
			unix = i
		}
	}
	active := pre >= 0 && fail > pre && unix > pre && unix < fail
	f.Active = posture.Known(active, posture.Configured, accPAMDir+"common-auth")
	e := pam.Entry{Module: "pam_faillock.so"}
	if fail >= 0 {
		e = list[fail]
	}
	f.Deny = option(e, conf, accFaillockConf, "deny", 3)
	f.FailInterval = option(e, conf, accFaillockConf, "fail_interval", 900)
	f.UnlockTime = option(e, conf, accFaillockConf, "unlock_time", 600)
	f.EvenDenyRoot = flag(e, conf, accFaillockConf, "even_deny_root")
	f.RootUnlockTime = f.UnlockTime
	if r := option(e, conf, accFaillockConf, "root_unlock_time", 0); r.Origin != posture.Default {
		f.RootUnlockTime = r
		if !f.EvenDenyRoot.Value { // pam_faillock(8): root_unlock_time implies even_deny_root
			f.EvenDenyRoot = posture.Known(true, posture.Configured, r.Source)
		}
	}
}

// quality: defaults of pwquality.conf(5): minlen 8, minclass 0, retry 1, dictcheck 1.
func (p pamView) quality(f *posture.QualityFacts) {
	list, err := p.need("common-password", "password")
	var conf map[string]pam.Value
	if err == nil {
		conf, err = p.qualityConf()
	}
	if err != nil {
		f.Active, f.EnforceRoot = posture.Unknown[bool](err, accQualityConf), posture.Unknown[bool](err, accQualityConf)
		f.DictCheck = posture.Unknown[bool](err, accQualityConf)
		for _, n := range []*posture.Fact[int]{&f.MinLength, &f.MinClass, &f.Retry} {
			*n = posture.Unknown[int](err, accQualityConf)
		}
		return
	}
	e, ok := find(list, "pam_pwquality.so")
	src := source(e.File, e.Line)
	if !ok {
		e.Module, src = "pam_pwquality.so", accPAMDir+"common-password"
	}
	f.Active = posture.Known(ok && e.Binding(), posture.Configured, src)
	f.MinLength = option(e, conf, accQualityConf, "minlen", 8)
	f.MinClass = option(e, conf, accQualityConf, "minclass", 0)
	f.Retry = option(e, conf, accQualityConf, "retry", 1)
	dict := option(e, conf, accQualityConf, "dictcheck", 1)
	f.DictCheck = posture.Fact[bool]{Value: dict.Value != 0, Origin: dict.Origin, Source: dict.Source, Problem: dict.Problem}
	f.EnforceRoot = flag(e, conf, accQualityConf, "enforce_for_root")
}

// qualityConf reads pwquality.conf.d in the order of names, then pwquality.conf, which wins (pwquality.conf(5)).
func (p pamView) qualityConf() (map[string]pam.Value, error) {
	all := map[string]pam.Value{}
	_, contents, err := readAll(p.c, "/etc/security/pwquality.conf.d/*.conf")
	if err != nil {
		return nil, err
	}
	for _, b := range contents {
		for k, v := range pam.ParseConf(b) {
			all[k] = v
		}
	}
	main, err := p.conf(accQualityConf)
	for k, v := range main {
		all[k] = v
	}
	return all, err
}

func (p pamView) history(f *posture.PAMFacts) {
	list, err := p.need("common-password", "password")
	var conf map[string]pam.Value
	if err == nil {
		conf, err = p.conf(accHistoryConf)
	}
	if err != nil {
		f.HistoryRemember = posture.Unknown[int](err, accPAMDir+"common-password")
		return
	}
	if e, ok := find(list, "pam_pwhistory.so"); ok {
		f.HistoryRemember = option(e, conf, accHistoryConf, "remember", 10)
		return
	}
	if e, ok := find(list, "pam_unix.so"); ok {
		f.HistoryRemember = option(e, nil, "", "remember", 0)
		return
	}
	f.HistoryRemember = posture.Known(0, posture.Default, accPAMDir+"common-password")
}
