package rsyslog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func parse(text string) *Config { return Parse(File{"f", []byte(text)}, nil) }

func TestForwards(t *testing.T) {
	const p = "udp"
	for name, c := range map[string]struct {
		text string
		want []Forward
	}{
		"clear udp": {"# x\n*.* @10.0.0.50:514\n", []Forward{{Protocol: p, Target: "10.0.0.50", Port: "514", Selector: "*.*", Source: "f:2"}}},
		"clear tcp, default port, template": {"auth,authpriv.*\t@@log.example;RSYSLOG_SyslogProtocol23Format",
			[]Forward{{Protocol: "tcp", Target: "log.example", Port: "514", Selector: "auth,authpriv.*", Source: "f:1"}}},
		"compressed, IPv6": {"*.* @@(z9,o)[2001:db8::1]:6514", []Forward{{Protocol: "tcp", Target: "2001:db8::1", Port: "6514", Selector: "*.*", Source: "f:1"}}},
		"legacy TLS": {"$DefaultNetstreamDriver gtls\n$ActionSendStreamDriverMode 1\n$ActionSendStreamDriverAuthMode x509/name\n*.* @@h:6514\n",
			[]Forward{{Protocol: "tcp", Target: "h", Port: "6514", TLS: true, Verified: true, Selector: "*.*", Source: "f:4"}}},
		"legacy TLS, driver missing": {"$ActionSendStreamDriverMode 1\n*.* @@h:6514\n", []Forward{{Protocol: "tcp", Target: "h", Port: "6514", Selector: "*.*", Source: "f:2"}}},
		"same selector":              {"kern.* @a\n& @b\n", []Forward{{Protocol: p, Target: "a", Port: "514", Selector: "kern.*", Source: "f:1"}, {Protocol: p, Target: "b", Port: "514", Selector: "kern.*", Source: "f:2"}}},
		"property":                   {":msg, contains, \"fail ed\" @h", []Forward{{Protocol: p, Target: "h", Port: "514", Selector: ":msg, contains, \"fail ed\"", Source: "f:1"}}},
		"relp":                       {"*.* :omrelp:h:2514", []Forward{{Protocol: "relp", Target: "h", Port: "2514", Selector: "*.*", Source: "f:1"}}},
		"script TLS": {"*.* action(type=\"omfwd\" target=\"h\" port=\"6514\" protocol=\"tcp\"\n  StreamDriver=\"gtls\" StreamDriverMode=\"1\" # why\n  StreamDriverAuthMode=\"x509/name\")",
			[]Forward{{Protocol: "tcp", Target: "h", Port: "6514", TLS: true, Verified: true, Selector: "*.*", Source: "f:1"}}},
		"script, driver global and later": {"action(type='omfwd' Target='h' Protocol='TCP' StreamDriverMode='1' StreamDriverAuthMode='anon')\nglobal(DefaultNetstreamDriver=\"ossl\")",
			[]Forward{{Protocol: "tcp", Target: "h", Port: "514", TLS: true, Source: "f:1"}}},
		"script mode 0": {"action(type=\"omfwd\" target=\"h\" protocol=\"tcp\" streamdriver=\"gtls\" streamdrivermode=\"0\")", []Forward{{Protocol: "tcp", Target: "h", Port: "514", Source: "f:1"}}},
		"in a condition": {"if $programname == 'pveproxy' then {\n  action(type=\"omrelp\" target=\"h\" port=\"20514\" tls=\"on\" tls.authmode=\"name\")\n  stop\n}",
			[]Forward{{Protocol: "relp", Target: "h", Port: "20514", TLS: true, Verified: true, Conditional: true, Source: "f:2"}}},
		"ruleset and else": {"ruleset(name=\"r\") {\n action(type=\"omfwd\" target=\"a\")\n if $x then {\n stop\n } else {\n *.* @b\n }\n @c\n}\n*.* @d\n",
			[]Forward{{Protocol: p, Target: "a", Port: "514", Source: "f:2"}, {Protocol: p, Target: "b", Port: "514", Selector: "*.*", Conditional: true, Source: "f:6"},
				{Protocol: p, Target: "c", Port: "514", Source: "f:8"}, {Protocol: p, Target: "d", Port: "514", Selector: "*.*", Source: "f:10"}}},
		"one-line condition": {"if $syslogseverity <= 4 then @h\n", []Forward{{Protocol: p, Target: "h", Port: "514", Conditional: true, Source: "f:1"}}},
		"elastic":            {"action(type=\"omelasticsearch\" server=\"es\" serverport=\"9200\" usehttps=\"on\")", []Forward{{Protocol: "http", Target: "es", Port: "9200", TLS: true, Verified: true, Source: "f:1"}}},
		"kafka":              {"action(type=\"omkafka\" broker=[\"a:1\",\"b:2\"] confParam=[\"security.protocol=ssl\"])", []Forward{{Protocol: "kafka", Target: "a:1,b:2", TLS: true, Verified: true, Source: "f:1"}}},
		"commented":          {"#*.* @h\n/* *.* @@h\n*.* @x */\nmail.* -/var/log/mail.log\n*.emerg :omusrmsg:*\n", nil},
	} {
		c2 := parse(c.text)
		if d := cmp.Diff(c.want, c2.Forwards, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if len(c2.Problems) > 0 {
			t.Errorf("%s: %v", name, c2.Problems)
		}
	}
}

func TestInputs(t *testing.T) {
	got := parse(`module(load="imuxsock")
$ModLoad imklog.so
module(load="imudp")
input(type="imudp" port="514" address="127.0.0.1")
$ModLoad imtcp
$InputTCPServerRun 601
$UDPServerAddress 10.0.0.1
$UDPServerRun 514
input(type="imfile" File="/var/log/pveproxy/access.log"
      Tag="pveproxy:")
$InputFileName /var/log/pve-firewall.log
$InputRunFileMonitor
input(type="imptcp" path="/run/x.sock")
#input(type="imrelp" port="1")
`).Inputs
	want := []Input{
		{Type: "imuxsock", Source: "f:1"}, {Type: "imklog", Source: "f:2"},
		{Type: "imudp", Address: "127.0.0.1", Port: "514", Source: "f:4"},
		{Type: "imtcp", Port: "601", Source: "f:6"}, {Type: "imudp", Address: "10.0.0.1", Port: "514", Source: "f:8"},
		{Type: "imfile", File: "/var/log/pveproxy/access.log", Source: "f:9"},
		{Type: "imfile", File: "/var/log/pve-firewall.log", Source: "f:11"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestIncludes(t *testing.T) {
	files := map[string][]File{
		"/etc/rsyslog.d/*.conf": {{"/etc/rsyslog.d/10.conf", []byte("*.* @a\n")}, {"/etc/rsyslog.d/20.conf", []byte("include(file=\"/etc/extra.conf\" mode=\"optional\")")}},
		"/etc/extra.conf":       {{"/etc/extra.conf", []byte("\n\n*.* @b\n$IncludeConfig /etc/extra.conf\n")}},
	}
	c := Parse(File{"/etc/rsyslog.conf", []byte("$IncludeConfig /etc/rsyslog.d/*.conf\n")}, func(p string) []File { return files[p] })
	if len(c.Forwards) < 2 || c.Forwards[0].Source != "/etc/rsyslog.d/10.conf:1" || c.Forwards[1].Source != "/etc/extra.conf:3" {
		t.Errorf("%+v", c.Forwards)
	}
	if len(c.Forwards) > 2*maxDepth || len(c.Problems) != 1 || !strings.Contains(c.Problems[0], "nested") {
		t.Errorf("a file that includes itself: %d forwards, %v", len(c.Forwards), c.Problems)
	}
	if p := parse("action(type=\"omfwd\"").Problems; len(p) != 1 {
		t.Errorf("an open object: %v", p)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("*.* @@h:1\nif $x then { action(type=\"omfwd\" target=\"h\") }\n$IncludeConfig x\n"))
	f.Add([]byte("else else if  then }}}{{{ :\"@ & @@( [\n/*"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Parse(File{"f", b}, func(string) []File { return []File{{"g", []byte("*.* @x\n")}} })
		for _, f := range c.Forwards {
			if strings.Contains(f.Source, globalDriver) && !strings.Contains(string(b), "\x00") {
				t.Fatalf("the mark of the global driver stayed in %q", f.Source)
			}
		}
	})
}
