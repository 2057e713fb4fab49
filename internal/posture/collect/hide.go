package collect

import (
	"reflect"
	"regexp"
	"strings"

	"github.com/castellan-project/castellan/internal/posture"
)

// hidden stands for what was left out of a fact.
const hidden = "…"

// hideSecrets is the last step before facts leave this room. Collectors do not read secrets; but people write them
// where they do not belong, into the arguments of commands and into URLs. Arguments of commands that a host runs are
// therefore left out of facts as a whole, and what looks like a credential elsewhere is replaced.
func hideSecrets(f *posture.Facts) {
	for _, s := range []*posture.SSHDScenario{&f.SSHD.Admin, &f.SSHD.RootCluster, &f.SSHD.RootElsewhere} {
		for _, command := range []*string{&s.AuthorizedKeysCommand.Value, &s.ForceCommand.Value} {
			*command = program(*command)
		}
		for i, v := range s.SetEnv.Value {
			name, _, _ := strings.Cut(v, "=")
			s.SetEnv.Value[i] = name + "=" + hidden
		}
	}
	for i, r := range f.Services.Mail.RootRecipients.Value {
		if strings.HasPrefix(strings.Trim(r, `"`), "|") {
			f.Services.Mail.RootRecipients.Value[i] = program(r)
		}
	}
	for i := range f.Accounts.Sudo.Rules.Value {
		f.Accounts.Sudo.Rules.Value[i].Command = program(f.Accounts.Sudo.Rules.Value[i].Command)
	}
	for _, args := range [][]string{f.Kernel.Cmdline.Value, f.Kernel.CmdlinePersisted.Value} {
		for i, a := range args {
			if name, _, ok := strings.Cut(a, "="); ok && secretArg.MatchString(name) {
				args[i] = name + "=" + hidden
			}
		}
	}
	scrub(reflect.ValueOf(f).Elem())
}

// secretArg finds kernel arguments whose value is, or leads to, a secret.
var secretArg = regexp.MustCompile(`(?i)(?:^|[._-])(?:key|keyfile|pass|password|passwd|secret|token|chap)$`)

// program keeps the first word of a command.
func program(command string) string {
	first, rest, more := strings.Cut(command, " ")
	if !more || strings.TrimSpace(rest) == "" {
		return command
	}
	return first + " " + hidden
}

var (
	// credentialURL finds the password in scheme://user:password@host.
	credentialURL = regexp.MustCompile(`(://[^/\s:@]*:)[^/\s@]+@`)
	// credentialWord finds name=value with a name that promises a secret.
	credentialWord = regexp.MustCompile(`(?i)((?:^|[\s"'{,;(&?])(?:[a-z]+[-_.])?(?:` + secretNames + `)\s*=\s*)[^\s"',;)&]+`)
	// credentialFlag finds --name value and --name=value.
	credentialFlag = regexp.MustCompile(`(?i)((?:^|\s)--?[a-z-]*(?:` + secretNames + `)(?:\s+|=))[^\s"']+`)
)

const secretNames = "password|passwd|passphrase|secret|token|apikey|api_key|psk|pvepass|pveapitoken"

func scrubText(s string) string {
	if strings.Contains(s, "://") && strings.Contains(s, "@") {
		s = credentialURL.ReplaceAllString(s, "${1}"+hidden+"@")
	}
	if strings.Contains(s, "=") {
		s = credentialWord.ReplaceAllString(s, "${1}"+hidden)
	}
	if strings.Contains(s, "-") {
		s = credentialFlag.ReplaceAllString(s, "${1}"+hidden)
	}
	return s
}

// scrub replaces credentials in every string below v.
func scrub(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			scrub(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				scrub(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			scrub(v.Index(i))
		}
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			return
		}
		for _, k := range v.MapKeys() {
			x := reflect.New(v.Type().Elem()).Elem()
			x.Set(v.MapIndex(k))
			scrub(x)
			v.SetMapIndex(k, x)
		}
	case reflect.String:
		if v.CanSet() && v.Len() > 6 {
			if s := v.String(); mayHoldCredential(s) {
				v.SetString(scrubText(s))
			}
		}
	}
}

// mayHoldCredential is the cheap question before the regular expressions.
func mayHoldCredential(s string) bool {
	if strings.Contains(s, "://") && strings.Contains(s, "@") {
		return true
	}
	lower := strings.ToLower(s)
	for _, w := range []string{"passw", "passph", "secret", "token", "apikey", "api_key", "psk", "pvepass"} {
		if strings.Contains(lower, w) {
			return true
		}
	}
	return false
}
