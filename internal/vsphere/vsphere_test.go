package vsphere

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/castellan-project/castellan/internal/vsphere/vctest"
)

// vcenter starts a simulated vCenter and returns how it is reached.
func vcenter(t *testing.T, machines int) Options {
	t.Helper()
	s := vctest.Start(t, machines)
	return Options{Host: s.Host, User: s.User, Password: s.Password, Thumbprint: s.Thumbprint, Timeout: time.Minute}
}

func dial(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func TestMachines(t *testing.T) {
	c := dial(t, vcenter(t, 2))
	list, err := c.Machines(t.Context())
	if err != nil || len(list) == 0 {
		t.Fatalf("%d machines, %v", len(list), err)
	}
	v := list[0]
	if v.Problem != "" || v.Path == "" || v.Version == "" || v.Hardware == 0 || len(v.Disks) == 0 || v.Ref == "" {
		t.Errorf("%+v", v)
	}
	for i := range list[1:] {
		if list[i].Name > list[i+1].Name {
			t.Errorf("%s stands before %s", list[i].Name, list[i+1].Name)
		}
	}
	hosts, err := c.Hosts(t.Context())
	if err != nil || len(hosts) == 0 || hosts[0].Version == "" {
		t.Errorf("%+v, %v", hosts, err)
	}
}

func TestReconfigure(t *testing.T) {
	c := dial(t, vcenter(t, 1))
	read := func() VM {
		list, err := c.Machines(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return list[0]
	}
	yes := true
	v := read()
	err := c.Reconfigure(t.Context(), v, Change{Settings: map[string]string{"Isolation.Tools.Copy.Disable": "TRUE", "log.keepOld": "10"}, VMotion: "required", FT: "required", Logging: &yes})
	if err != nil {
		t.Fatal(err)
	}
	after := read()
	if after.Settings["Isolation.Tools.Copy.Disable"] != "TRUE" || after.VMotion != "required" || after.FT != "required" {
		t.Errorf("%+v", after)
	}
	// The key keeps the spelling that it has; a second one would be a second key here.
	if err := c.Reconfigure(t.Context(), after, Change{Settings: map[string]string{"isolation.tools.copy.disable": "FALSE"}}); err != nil {
		t.Fatal(err)
	}
	again := read()
	if _, twice := again.Settings["isolation.tools.copy.disable"]; twice || again.Settings["Isolation.Tools.Copy.Disable"] != "FALSE" {
		t.Errorf("%v", again.Settings)
	}
	if err := c.Reconfigure(t.Context(), again, Change{Settings: map[string]string{"LOG.KEEPOLD": ""}}); err != nil {
		t.Fatal(err)
	}
	if v := read(); v.Settings["log.keepOld"] != "" {
		t.Errorf("the key is still there: %v", v.Settings)
	}
	if err := c.Reconfigure(t.Context(), v, Change{Settings: map[string]string{"a": "b"}}); !errors.Is(err, ErrStale) {
		t.Errorf("a change that was planned on an old state: %v", err)
	}
}

func TestRefused(t *testing.T) {
	good := vcenter(t, 0)
	for name, change := range map[string]func(*Options){
		"the user name or password is wrong":     func(o *Options) { o.Password = "wrong-secret" },
		"is not trusted":                         func(o *Options) { o.Thumbprint = "" },
		"another one than the pinned thumbprint": func(o *Options) { o.Thumbprint = strings.Repeat("00", 32) },
		"is no thumbprint":                       func(o *Options) { o.Thumbprint = "xyz" },
		"is no address":                          func(o *Options) { o.Host = "a/b" },
		"cannot reach the API":                   func(o *Options) { o.Host = "127.0.0.1:1" },
	} {
		o := good
		change(&o)
		_, err := Dial(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "wrong-secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A server that answers no more ends the call in time, and the error says so.
func TestSilence(t *testing.T) {
	stop := make(chan struct{})
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer s.Close()
	defer close(stop)
	sum := sha256.Sum256(s.Certificate().Raw)
	_, err := Dial(t.Context(), Options{Host: s.Listener.Addr().(*net.TCPAddr).String(), User: "u", Password: "p", Thumbprint: hex.EncodeToString(sum[:]), Timeout: 300 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "does not answer in time") {
		t.Errorf("%v", err)
	}
}

// All calls go over few connections.
func TestConnectionsAreKept(t *testing.T) {
	c := dial(t, vcenter(t, 5))
	list, err := c.Machines(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		if !i.Reused {
			opened++
		}
	}})
	for _, v := range list {
		if _, err := c.Machine(ctx, v.Ref); err != nil {
			t.Fatal(err)
		}
	}
	if opened > 2 {
		t.Errorf("%d connections were opened for %d machines", opened, len(list))
	}
}

// A certificate that has expired is refused with that reason, unless exactly this one is pinned.
func TestExpiredCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().AddDate(-1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	defer s.Close()
	o := Options{Host: s.Listener.Addr().String(), User: "u", Password: "p", Timeout: time.Minute}
	sum := sha256.Sum256(der)
	if _, err := Dial(t.Context(), o); err == nil || !strings.Contains(err.Error(), "expired") || !strings.Contains(err.Error(), strings.ToUpper(hex.EncodeToString(sum[:]))) {
		t.Errorf("%v", err)
	}
	o.Thumbprint = hex.EncodeToString(sum[:])
	if _, err := Dial(t.Context(), o); err == nil || strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
}
