// Package vctest starts a simulated vCenter for tests, as net/http/httptest starts a server: with TLS, a user, a password and
// machines. It is govmomi's simulator, which has no permissions and no conflicts and never falls silent; a test that wants those
// puts a proxy before it. Only tests import this package, so that the simulator is not linked into the program.
package vctest

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net/url"
	"testing"

	"github.com/vmware/govmomi/simulator"
)

// Server is a simulated vCenter and how it is reached.
type Server struct {
	// Host is its address with the port.
	Host string
	// User and Password are the only ones that it lets in.
	User, Password string
	// Thumbprint is the SHA-256 of its certificate in hexadecimal digits; no authority vouches for it.
	Thumbprint string
}

// Start starts a vCenter with that many machines in each resource pool, of which the simulator has two. It ends with the test.
func Start(t testing.TB, machines int) Server {
	t.Helper()
	model := simulator.VPX()
	model.Machine = machines
	if err := model.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Remove)
	s := Server{User: "operator@vsphere.local", Password: "right"}
	model.Service.TLS = new(tls.Config)
	model.Service.RegisterEndpoints = true
	model.Service.Listen = &url.URL{User: url.UserPassword(s.User, s.Password)}
	running := model.Service.NewServer()
	t.Cleanup(running.Close)
	sum := sha256.Sum256(running.Certificate().Raw)
	s.Host, s.Thumbprint = running.URL.Host, hex.EncodeToString(sum[:])
	return s
}
