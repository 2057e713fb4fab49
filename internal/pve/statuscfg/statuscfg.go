// Package statuscfg reads /etc/pve/status.cfg, the metric servers that a Proxmox VE cluster sends its measurements to.
// It is pure: bytes in, values out.
package statuscfg

import (
	"fmt"
	"strings"
)

// Server is one metric server.
type Server struct {
	// Type is influxdb, graphite or opentelemetry.
	Type string
	Name string
	Line int // where its section starts
	// Options are the other settings as written: server, port, proto, influxdbproto, disable, verify-certificate ...
	// Tokens are left out.
	Options map[string]string
}

// Disabled reports whether the section says "disable 1".
func (s Server) Disabled() bool { return s.Options["disable"] == "1" || s.Options["disable"] == "yes" }

// Protocol is how measurements travel: udp, tcp, http or https. Defaults are those of PVE::Status: InfluxDB and
// Graphite use UDP, OpenTelemetry uses HTTPS.
func (s Server) Protocol() string {
	pick := func(key, byDefault string) string {
		if v := s.Options[key]; v != "" {
			return v
		}
		return byDefault
	}
	switch s.Type {
	case "influxdb":
		return pick("influxdbproto", "udp")
	case "graphite":
		return pick("proto", "udp")
	case "opentelemetry":
		return pick("otel-protocol", "https")
	}
	return pick("proto", "")
}

// Parse reads the section format of PVE: "type: name" at the start of a line, indented "key value" lines below.
func Parse(b []byte) ([]Server, error) {
	var list []Server
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		text := strings.TrimSpace(line)
		if text == "" || text[0] == '#' {
			continue
		}
		if line[0] != ' ' && line[0] != '\t' {
			kind, name, ok := strings.Cut(text, ":")
			if !ok || strings.ContainsAny(kind, " \t") || strings.TrimSpace(name) == "" {
				return list, fmt.Errorf("line %d: %.60q does not start a section: type: name is expected", n, text)
			}
			list = append(list, Server{kind, strings.TrimSpace(name), n, map[string]string{}})
			continue
		}
		if len(list) == 0 {
			return list, fmt.Errorf("line %d: a setting stands before the first section", n)
		}
		key, value, _ := strings.Cut(text, " ")
		if key != "token" && !strings.Contains(key, "header") {
			list[len(list)-1].Options[key] = strings.TrimSpace(value)
		}
	}
	return list, nil
}
