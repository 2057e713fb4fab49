package chrony

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	c := Parse([]byte("# c\nconfdir /etc/chrony/conf.d\nsourcedir /run/chrony-dhcp\nsourcedir /etc/chrony/sources.d/\npool 2.debian.pool.ntp.org iburst\nserver ntp1 iburst nts\npeer ntp2\npool p maxsources 2\nkeyfile /etc/chrony/chrony.keys\n"))
	if c.Sources() != 8 || c.NTS != 1 {
		t.Error(c.Sources(), c.NTS)
	}
	if want := []string{"/etc/chrony/conf.d/*.conf", "/run/chrony-dhcp/*.sources", "/etc/chrony/sources.d/*.sources"}; !cmp.Equal(want, c.Includes) {
		t.Error(c.Includes)
	}
	c.Add(Parse([]byte("server x\n")))
	if c.Sources() != 9 {
		t.Error(c.Sources())
	}
}

func TestParseTracking(t *testing.T) {
	got, err := ParseTracking([]byte("A29FC87B,162.159.200.123,4,1700000000.123,-0.000123456,0.0001,0.0002,-1.2,0.001,0.02,0.01,0.001,64.2,Normal\n^,*,162.159.200.123,3,6,377,12,0.0001,0.0002,0.01\n^,?,10.0.0.1,0,6,0,12,0.0,0.0,0.0\n"))
	if want := (Tracking{Synchronized: true, OffsetMS: 1, Stratum: 4, Reachable: 1}); err != nil || got != want {
		t.Error(got, err)
	}
	got, err = ParseTracking([]byte("7F7F0101,,10,0,2.5,0,0,0,0,0,0,0,0,Not synchronised\n"))
	if err != nil || got.Synchronized || got.OffsetMS != 2500 {
		t.Error(got, err)
	}
	for _, bad := range []string{"", "506 Cannot talk to daemon\n", "a,b,c,d,x,f,g,h,i,j,k,l,m,n\n"} {
		if _, err := ParseTracking([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestTimesyncd(t *testing.T) {
	s, f := ParseTimesyncd([]byte("[Time]\n#NTP=x\nNTP=a b\nNTP=c\nFallbackNTP=0.debian.pool.ntp.org\nFallbackNTP=\n"))
	if !cmp.Equal(s, []string{"a", "b", "c"}) || len(f) != 0 {
		t.Error(s, f)
	}
	for in, want := range map[string]int{"Offset: +1.2ms\n": 2, " Offset: -3min 1s\n": 181000, "Offset: 12us": 1} {
		if got, err := ParseTimesync([]byte(in)); err != nil || got != want {
			t.Errorf("%q: %d %v", in, got, err)
		}
	}
	for _, bad := range []string{"", "Offset: n/a", "Offset: 5parsecs"} {
		if got, err := ParseTimesync([]byte(bad)); err == nil {
			t.Errorf("%q: %d", bad, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("pool a maxsources 3\nserver b nts\n"))
	f.Add([]byte("A,1.2.3.4,4,1,NaN,0,0,0,0,0,0,0,0,Normal\nOffset: +1ms\nNTP=a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c := Parse(b); c.Sources() < len(c.Servers)+len(c.Pools) {
			t.Fatal("a pool counts for one at least")
		}
		if tr, err := ParseTracking(b); err == nil && tr.OffsetMS < 0 {
			t.Fatal("negative offset")
		}
		if ms, err := ParseTimesync(b); err == nil && ms < 0 {
			t.Fatal("negative offset")
		}
		ParseTimesyncd(b)
	})
}
