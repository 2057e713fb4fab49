package posture

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Remediation is one typed change of a control, as data. A control never carries a shell command: the change is
// planned, shown, journalled and taken back by internal/change, which knows each kind.
type Remediation struct {
	Kind string `yaml:"kind" json:"kind"`
	// Text overrides the sentence that is shown to the user.
	Text string `yaml:"text" json:"text,omitempty"`

	Set       map[string]string `yaml:"set" json:"set,omitempty"`
	Match     string            `yaml:"match" json:"match,omitempty"`
	Section   string            `yaml:"section" json:"section,omitempty"`
	Path      string            `yaml:"path" json:"path,omitempty"`
	Content   string            `yaml:"content" json:"content,omitempty"`
	Mode      string            `yaml:"mode" json:"mode,omitempty"`
	Owner     string            `yaml:"owner" json:"owner,omitempty"`
	Ensure    string            `yaml:"ensure" json:"ensure,omitempty"`
	Separator string            `yaml:"separator" json:"separator,omitempty"`
	Unit      string            `yaml:"unit" json:"unit,omitempty"`
	State     string            `yaml:"state" json:"state,omitempty"`
	Install   []string          `yaml:"install" json:"install,omitempty"`
	Purge     []string          `yaml:"purge" json:"purge,omitempty"`
	Block     []string          `yaml:"block" json:"block,omitempty"`
	Options   string            `yaml:"options" json:"options,omitempty"`
	// Apt source.
	Suite      string `yaml:"suite" json:"suite,omitempty"`
	Components string `yaml:"components" json:"components,omitempty"`
	URIs       string `yaml:"uris" json:"uris,omitempty"`
	SignedBy   string `yaml:"signed_by" json:"signed_by,omitempty"`
	// Account.
	Name string `yaml:"name" json:"name,omitempty"`
	Each Each   `yaml:"each" json:"each,omitempty"`
}

// Each says for which accounts, guests, nodes and so on a change is made: a CEL expression that gives a list of strings. In YAML it may be
// written as the list itself.
type Each string

// UnmarshalYAML reads an expression or a list.
func (e *Each) UnmarshalYAML(decode func(any) error) error {
	var text string
	if decode(&text) == nil {
		*e = Each(text)
		return nil
	}
	var list []string
	if err := decode(&list); err != nil {
		return err
	}
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = strconv.Quote(s)
	}
	*e = Each("[" + strings.Join(quoted, ", ") + "]")
	return nil
}

// kindRule says which keys a kind needs, which others it allows, and how it is said in a sentence.
type kindRule struct {
	needs, allows []string
	words         func(r Remediation) string
}

func setting(file string) kindRule {
	return kindRule{needs: []string{"set"}, allows: []string{"section", "match"}, words: func(r Remediation) string {
		where := file
		if r.Section != "" {
			where = "section [" + r.Section + "] of " + where
		}
		if r.Match != "" {
			where += " for " + r.Match
		}
		return "set " + pairs(r.Set) + " in " + where
	}}
}

// kinds is the closed list of remediation kinds; internal/change/kinds applies them.
func kinds() map[string]kindRule {
	return map[string]kindRule{
		"sshd":     setting("/etc/ssh/sshd_config.d/00-castellan.conf"),
		"sysctl":   setting("/etc/sysctl.d/60-castellan.conf and in the running kernel"),
		"grub":     setting("the boot loader's configuration"),
		"pveproxy": setting("/etc/default/pveproxy"), "postfix": setting("/etc/postfix/main.cf"),
		"journald": setting("/etc/systemd/journald.conf.d/castellan.conf"), "rsyslog": setting("/etc/rsyslog.d/castellan.conf"),
		"login_defs": setting("/etc/login.defs"), "sudoers": setting("/etc/sudoers.d/castellan"),
		"faillock": setting("/etc/security/faillock.conf"), "pwquality": setting("/etc/security/pwquality.conf"),
		"chrony": setting("/etc/chrony/conf.d/castellan.conf"), "pam": setting("the PAM configuration"),
		"fail2ban": setting("/etc/fail2ban/jail.d/castellan.local"), "limits": setting("/etc/security/limits.d/castellan.conf"),
		"apt": setting("/etc/apt/apt.conf.d/99castellan"),
		"file": {needs: []string{"path"}, allows: []string{"content", "mode", "owner", "ensure"}, words: func(r Remediation) string {
			switch {
			case r.Ensure == "absent":
				return "remove " + r.Path
			case r.Content != "" && r.Mode != "":
				return "write " + r.Path + " with mode " + r.Mode
			case r.Content != "":
				return "write " + r.Path
			default:
				return "give " + r.Path + " " + strings.TrimSpace(modeWords(r))
			}
		}},
		"line": {needs: []string{"path", "set"}, allows: []string{"separator"}, words: func(r Remediation) string {
			return "set " + pairs(r.Set) + " in " + r.Path
		}},
		"unit": {needs: []string{"unit", "state"}, words: func(r Remediation) string {
			verb := map[string]string{"enabled": "enable and start", "disabled": "stop and disable", "masked": "stop and mask",
				"started": "start", "stopped": "stop", "restarted": "restart"}[r.State]
			return verb + " " + r.Unit
		}},
		"package": {allows: []string{"install", "purge"}, words: func(r Remediation) string {
			if len(r.Purge) > 0 {
				return "remove the packages " + strings.Join(r.Purge, ", ")
			}
			return "install the packages " + strings.Join(r.Install, ", ")
		}},
		"aptsource": {needs: []string{"uris"}, allows: []string{"suite", "components", "signed_by", "ensure", "path"}, words: func(r Remediation) string {
			if r.Ensure == "absent" {
				return "disable the package source " + r.URIs
			}
			return "add the package source " + strings.Join(strings.Fields(r.URIs+" "+r.Suite+" "+r.Components), " ")
		}},
		"modprobe": {allows: []string{"block", "options", "each"}, words: func(r Remediation) string {
			if len(r.Block) > 0 {
				return "block the kernel modules " + strings.Join(r.Block, ", ") + " in /etc/modprobe.d/castellan.conf"
			}
			return "set the module options " + r.Options + " in /etc/modprobe.d/castellan.conf"
		}},
		"mount": {needs: []string{"path", "options"}, words: func(r Remediation) string {
			return "mount " + r.Path + " with " + r.Options
		}},
		"account": {needs: []string{"set"}, allows: []string{"name", "each"}, words: func(r Remediation) string {
			who := r.Name
			if who == "" {
				who = "each account listed"
			}
			return "set " + pairs(r.Set) + " for " + who
		}},
		"datacenter":  setting("/etc/pve/datacenter.cfg"),
		"pvefirewall": firewallSetting(),
		"pveacl":      permissionSetting(),
		"guest":       estateSetting("the configuration of "),
		"storage":     estateSetting("the storage "),
		"vmx":         setting("the configuration of the virtual machine"),
	}
}

// estateSetting is a change of something of the cluster: section says what ("cluster", "host", "guest", "user", "token"), and
// each gives the ids of those that are changed.
func estateSetting(of string) kindRule {
	return kindRule{needs: []string{"set"}, allows: []string{"section", "each"}, words: func(r Remediation) string {
		what := r.Section
		switch {
		case r.Each != "" && what != "":
			what = "each " + what + " listed"
		case r.Each != "":
			what = "each one listed"
		case what != "":
			what = "the " + what
		default:
			what = "the cluster"
		}
		return "set " + pairs(r.Set) + " in " + of + what
	}}
}

func modeWords(r Remediation) string {
	var s []string
	if r.Mode != "" {
		s = append(s, "mode "+r.Mode)
	}
	if r.Owner != "" {
		s = append(s, "owner "+r.Owner)
	}
	return strings.Join(s, " and ")
}

func pairs(m map[string]string) string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for i, k := range keys {
		keys[i] = strings.TrimSpace(k + " " + m[k])
	}
	return strings.Join(keys, ", ")
}

// given lists which keys of the remediation hold something.
func (r Remediation) given() map[string]bool {
	return map[string]bool{
		"set": len(r.Set) > 0, "match": r.Match != "", "section": r.Section != "", "path": r.Path != "",
		"content": r.Content != "", "mode": r.Mode != "", "owner": r.Owner != "", "ensure": r.Ensure != "",
		"separator": r.Separator != "", "unit": r.Unit != "", "state": r.State != "", "install": len(r.Install) > 0,
		"purge": len(r.Purge) > 0, "block": len(r.Block) > 0, "options": r.Options != "", "suite": r.Suite != "",
		"components": r.Components != "", "uris": r.URIs != "", "signed_by": r.SignedBy != "", "name": r.Name != "",
		"each": r.Each != "",
	}
}

// Validate checks the remediation against its kind.
func (r Remediation) Validate() error {
	rule, ok := kinds()[r.Kind]
	if !ok {
		return fmt.Errorf("there is no remediation kind %q; known are %s", r.Kind, strings.Join(sortedKeys(kinds()), ", "))
	}
	given := r.given()
	for _, k := range rule.needs {
		if !given[k] {
			return fmt.Errorf("a remediation of kind %s needs %q", r.Kind, k)
		}
	}
	allowed := map[string]bool{}
	for _, k := range append(rule.needs, rule.allows...) {
		allowed[k] = true
	}
	something := false
	for _, k := range sortedKeys(given) {
		if given[k] && !allowed[k] {
			return fmt.Errorf("a remediation of kind %s has no key %q", r.Kind, k)
		}
		something = something || given[k]
	}
	if !something {
		return fmt.Errorf("the remediation of kind %s says nothing; it may hold %s", r.Kind, strings.Join(rule.allows, ", "))
	}
	switch {
	case r.Kind == "unit" && rule.words(r) == " "+r.Unit:
		return fmt.Errorf("the unit state %q is none of enabled, disabled, masked, started, stopped, restarted", r.State)
	case r.Ensure != "" && r.Ensure != "absent":
		return fmt.Errorf("ensure %q is not known; write ensure: absent", r.Ensure)
	}
	return nil
}

// texts lists the strings of the remediation that may hold {params.x}, {fact.paths} and {cluster}.
func (r Remediation) texts() []string {
	out := []string{r.Text, r.Match, r.Path, r.Content, r.Options, r.Suite, r.Components, r.URIs, r.Name}
	for _, k := range sortedKeys(r.Set) {
		out = append(out, r.Set[k])
	}
	return out
}

// Words says what the remediation does, in a sentence without a full stop.
func (r Remediation) Words() string {
	if r.Text != "" {
		return r.Text
	}
	rule, ok := kinds()[r.Kind]
	if !ok {
		return r.Kind
	}
	return rule.words(r)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
