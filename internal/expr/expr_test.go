package expr

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// fact is an Observed value, as posture's facts are.
type fact[T any] struct {
	Value T
	err   error
}

func (f fact[T]) Get() (any, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Value, nil
}

func (f fact[T]) Where() (string, string) { return "configured", "/etc/x:1" }

type port struct {
	Number int          `json:"number"`
	Owner  fact[string] `json:"owner"`
}

type world struct {
	Name   fact[string]         `json:"name"`
	Broken fact[bool]           `json:"broken"`
	Ports  fact[[]port]         `json:"ports"`
	Keys   map[string]fact[int] `json:"keys"`
	When   fact[time.Time]      `json:"when"`
	Sub    struct {
		List []string `json:"list"`
	} `json:"sub"`
	hidden int
}

var errDenied = errors.New("permission denied")

func sample() *world {
	w := &world{Name: fact[string]{Value: "pve1"}, Broken: fact[bool]{err: errDenied},
		Ports: fact[[]port]{Value: []port{{22, fact[string]{Value: "sshd"}}, {9, fact[string]{err: errDenied}}}},
		Keys:  map[string]fact[int]{"a": {Value: 3}, "b": {err: errDenied}},
		When:  fact[time.Time]{Value: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, hidden: 1}
	w.Sub.List = []string{"x", "y"}
	return w
}

func env(t testing.TB) *Env {
	t.Helper()
	e, err := New(world{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func truths() map[string]Truth {
	return map[string]Truth{
		`name == "pve1"`:                                     True,
		`name.startsWith("x")`:                               False,
		`broken`:                                             Unknown,
		`!broken`:                                            Unknown,
		`broken == broken`:                                   Unknown,
		`broken || name == "pve1"`:                           True,
		`name == "pve1" || broken`:                           True,
		`broken && name == "other"`:                          False,
		`name == "other" && broken`:                          False,
		`broken && name == "pve1"`:                           Unknown,
		`broken ? true : true`:                               Unknown,
		`ports.exists(p, p.number == 22)`:                    True,
		`ports.all(p, p.number < 100)`:                       True,
		`ports.exists(p, p.owner == "sshd")`:                 True,
		`ports.all(p, p.owner == "nginx")`:                   False,
		`ports.all(p, p.owner == "sshd")`:                    Unknown,
		`ports.exists(p, p.owner == "nginx")`:                Unknown,
		`keys["a"] == 3`:                                     True,
		`keys["b"] == 3`:                                     Unknown,
		`keys["missing"] == 3`:                               Unknown,
		`keys["a"] >= params.min`:                            True,
		`size(sub.list) == 2 && "x" in sub.list`:             True,
		`when < now`:                                         True,
		`now - when > duration("24h")`:                       True,
		`cidr_contains("10.0.0.0/8", "10.1.2.3")`:            True,
		`cidr_contains("10.0.0.0/8", "::ffff:10.1.2.3")`:     True,
		`cidr_contains("10.0.0.0/8", "11.1.2.3")`:            False,
		`cidr_contains("192.0.2.1", "192.0.2.1")`:            True,
		`cidr_contains("fd00::/8", "fd00::1")`:               True,
		`cidr_contains("nonsense/8", "10.1.2.3")`:            Unknown,
		`is_private("192.168.1.1") && is_private("fd12::1")`: True,
		`is_private("100.64.1.1") && is_private("::1")`:      True,
		`is_private("8.8.8.8")`:                              False,
		`is_private("10.0.0.1/24")`:                          True,
		`int(name) > 3`:                                      Unknown,
		`1 / 0 == 1`:                                         Unknown,
	}
}

func TestTruth(t *testing.T) {
	e := env(t)
	vars := e.Bind(sample(), time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)).With(map[string]any{"min": int64(2)})
	for text, want := range truths() {
		p, err := e.Compile(text, Bool)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := p.Truth(vars)
		if got != want || (got == Unknown) != (err != nil) {
			t.Errorf("%s is %d (%v), want %d", text, got, err, want)
		}
		if strings.Contains(text, "broken") && got == Unknown && !errors.Is(err, errDenied) {
			t.Errorf("%s: the reason is lost: %v", text, err)
		}
	}
}

// What is preloaded evaluates as what is parsed.
func TestPreloadChangesNothing(t *testing.T) {
	var sources []Source
	for text := range truths() {
		sources = append(sources, Source{text, Bool})
	}
	b, err := env(t).Encode(sources)
	if err != nil {
		t.Fatal(err)
	}
	e := env(t)
	if err := e.Preload(b); err != nil {
		t.Fatal(err)
	}
	vars := e.Bind(sample(), time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)).With(map[string]any{"min": int64(2)})
	for text, want := range truths() {
		if _, ok := e.decoded(Source{text, Bool}); !ok {
			t.Errorf("%s was not preloaded", text)
		}
		p, err := e.Compile(text, Bool)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := p.Truth(vars); got != want {
			t.Errorf("preloaded, %s is %d, want %d", text, got, want)
		}
	}
	if err := env(t).Preload(b[:len(b)-3]); err == nil {
		t.Error("half of the compiled checks were accepted")
	}
}

func TestCompileRefuses(t *testing.T) {
	e := env(t)
	for text, want := range map[string]string{
		`nmae == "x"`:          "1:1: undeclared reference to 'nmae'",
		`sub.lsit == []`:       "1:4: undefined field 'lsit'",
		`name == 3`:            "1:6: found no matching overload",
		"name ==\n  3 +":       "2:",
		`hidden == 1`:          "undeclared reference",
		`name`:                 "gives string, not true or false",
		`exec("rm")`:           "undeclared reference to 'exec'",
		`ports[0].owner.Get()`: "undeclared reference to 'Get'",
	} {
		_, err := e.Compile(text, Bool)
		var ee *Error
		if !errors.As(err, &ee) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if _, err := e.Compile(`[1, 2]`, Strings); err == nil {
		t.Error("a list of numbers passed for a list of strings")
	}
}

func TestCostIsLimited(t *testing.T) {
	e := env(t)
	w := sample()
	w.Sub.List = make([]string, 2000)
	p, err := e.Compile(`sub.list.all(a, sub.list.all(b, sub.list.all(c, a == b || b == c || true)))`, Bool)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Truth(e.Bind(w, time.Time{})); got != Unknown || err == nil {
		t.Errorf("eight thousand million steps gave %d, %v", got, err)
	}
}

func TestPaths(t *testing.T) {
	e := env(t)
	vars := e.Bind(sample(), time.Time{})
	for path, want := range map[string]string{
		"name": "pve1", "sub.list": "x, y", `keys["a"]`: "3", "when": "2026-01-01T00:00:00Z",
		"broken": "permission denied", `keys["b"]`: "permission denied", `keys["c"]`: `there is no "c"`,
	} {
		p, err := e.ParsePath(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		o := vars.Look(p)
		got := o.Value
		if o.Err != nil {
			got = o.Err.Error()
		}
		if got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
		if p.String() != path {
			t.Errorf("%s is written %s", path, p)
		}
		if path == "name" && o.Source != "/etc/x:1" {
			t.Errorf("the source is %q", o.Source)
		}
	}
	for _, path := range []string{"", "nmae", "name.x", "keys.", "keys[\"a", "sub..list", "[\"a\"]"} {
		if _, err := e.ParsePath(path); err == nil {
			t.Errorf("%q was accepted", path)
		}
	}
}

func FuzzPath(f *testing.F) {
	e := env(f)
	f.Add(`keys["a"].b`)
	f.Add(`sub.list[`)
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := e.ParsePath(s); err == nil && len(p) == 0 {
			t.Error("an empty path was accepted")
		}
	})
}

func FuzzPreload(f *testing.F) {
	b, err := env(f).Encode([]Source{{`name == "x"`, Bool}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		e := env(t)
		if e.Preload(b) == nil {
			_, _ = e.Compile(`name == "x"`, Bool)
		}
	})
}

func TestWordsAreShortAndValid(t *testing.T) {
	long := strings.Repeat("ä", 1000)
	if w := Words(long); len(w) > wordLimit+4 || strings.ContainsRune(w, '\uFFFD') {
		t.Errorf("%d bytes", len(w))
	}
	if w := Words("\xff\xfe"); !strings.ContainsRune(w, '\uFFFD') {
		t.Errorf("%q", w)
	}
	for x, want := range map[any]string{true: "yes", false: "no", "": "(empty)", 3: "3"} {
		if got := Words(x); got != want {
			t.Errorf("%v is %q, want %q", x, got, want)
		}
	}
}

// A list of structures that would be cut in the middle is told by names.
func TestWordsOfLongLists(t *testing.T) {
	type guest struct {
		ID    int    `json:"id"`
		Title string `json:"title"`
		Notes string `json:"notes"`
	}
	list := []guest{{100, "vm 100 web", strings.Repeat("x", 300)}, {101, "vm 101 db", strings.Repeat("y", 300)}}
	if got := Words(list); got != "2: vm 100 web, vm 101 db" {
		t.Error(got)
	}
	if got := Words(list[:1]); !strings.HasPrefix(got, `[{"id":100`) {
		t.Error(got)
	}
}

// Maps are walked in order, so that the first unknown value is always the same one.
func TestMapsAreOrdered(t *testing.T) {
	e := env(t)
	w := sample()
	w.Keys = map[string]fact[int]{}
	for _, k := range []string{"q", "b", "z", "a", "m", "x", "c"} {
		w.Keys[k] = fact[int]{err: errors.New("cannot read " + k)}
	}
	p, err := e.Compile(`keys.exists(k, keys[k] == 1)`, Bool)
	if err != nil {
		t.Fatal(err)
	}
	first := ""
	for range 50 {
		_, err := p.Truth(e.Bind(w, time.Time{}))
		if first == "" {
			first = err.Error()
		}
		if err.Error() != first {
			t.Fatalf("once %q, once %q", first, err)
		}
	}
}
