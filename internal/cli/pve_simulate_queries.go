package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"

	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/inventory/filter"
)

// simulateAll answers a file of packets. What is wrong with a line ends the run after the answers before it.
func (a *app) simulateAll(c *inventory.Cluster, net *filter.Network, name string) error {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return usage("cannot read the queries: %w", err)
		}
		defer f.Close()
		in = f
	}
	return a.printAnswers(func(w *answerWriter) error {
		sc := bufio.NewScanner(in)
		sc.Buffer(nil, maxQuestion)
		n := 0
		for sc.Scan() {
			n++
			if len(bytes.TrimSpace(sc.Bytes())) == 0 {
				continue
			}
			fields, q, err := parseQuery(sc.Bytes())
			if err != nil {
				return usage("%s:%d: %w", name, n, err)
			}
			ans, err := net.Simulate(q)
			if err != nil {
				return atLine(name, n, refusedQuery(c, q, err))
			}
			if err := w.write(fields, ans); err != nil {
				return err
			}
		}
		if err := sc.Err(); err != nil {
			return usage("%s:%d: cannot read the queries: %w", name, n+1, err)
		}
		return nil
	})
}

// atLine puts the place of a query before an error and keeps its exit code.
func atLine(name string, n int, err error) error {
	code := ExitUsage
	var e *exitError
	if errors.As(err, &e) {
		code = e.code
	}
	return exit(code, fmt.Errorf("%s:%d: %w", name, n, err))
}

// field is one key of a query with its value as it was written.
type field struct {
	key   string
	value json.RawMessage
}

// parseQuery reads one line: the keys that make the packet, and all keys to be given back.
func parseQuery(line []byte) ([]field, filter.Query, error) {
	var raw map[string]json.RawMessage
	var q filter.Query
	if err := json.Unmarshal(line, &raw); err != nil || raw == nil {
		return nil, q, errors.New(`a query is a JSON object: {"from": "outside", "to": "host", "dport": 8006}`)
	}
	targets := map[string]*string{
		"from": &q.From, "to": &q.To, "proto": &q.Proto, "source": &q.Source, "dest": &q.Dest, "dport": &q.DPort, "sport": &q.SPort,
		"icmp_type": &q.ICMPType, "mac": &q.MAC,
	}
	fields := make([]field, 0, len(raw))
	for key, value := range raw {
		if key == "verdict" || key == "trace" {
			continue // ours
		}
		fields = append(fields, field{key, value})
		target, ok := targets[key]
		if !ok || string(value) == "null" {
			continue
		}
		var n json.Number
		if json.Unmarshal(value, &n) == nil && len(value) > 0 && value[0] != '"' {
			*target = n.String()
		} else if err := json.Unmarshal(value, target); err != nil {
			return nil, q, fmt.Errorf("%s is neither a text nor a number", key)
		}
	}
	if q.From == "" || q.To == "" {
		return nil, q, errors.New("a query needs from and to")
	}
	sort.Slice(fields, func(i, j int) bool { return fields[i].key < fields[j].key })
	return fields, q, nil
}

// queryFields are the keys of a query that came from flags.
func queryFields(q filter.Query) []field {
	b, err := json.Marshal(q)
	if err != nil {
		return nil
	}
	fields, _, err := parseQuery(b)
	if err != nil {
		return nil
	}
	for i, f := range fields { // ports are numbers in JSON, as people write them in queries
		var text string
		if f.key != "dport" && f.key != "sport" || json.Unmarshal(f.value, &text) != nil {
			continue
		}
		if n, err := strconv.Atoi(text); err == nil && strconv.Itoa(n) == text {
			fields[i].value = json.RawMessage(text)
		}
	}
	return fields
}

// answerWriter writes one line of JSON per packet: the keys of the query in order, then verdict and trace.
type answerWriter struct {
	w   *bufio.Writer
	buf bytes.Buffer
	enc *json.Encoder
}

func (a *app) printAnswers(answer func(*answerWriter) error) error {
	w := &answerWriter{w: bufio.NewWriter(a.out)}
	w.enc = json.NewEncoder(&w.buf)
	w.enc.SetEscapeHTML(false)
	err := answer(w)
	if flushErr := w.w.Flush(); flushErr != nil && err == nil {
		err = exit(ExitTarget, fmt.Errorf("cannot write the answers: %w", flushErr))
	}
	return err
}

func (w *answerWriter) write(fields []field, ans filter.Answer) error {
	w.buf.Reset()
	w.buf.WriteByte('{')
	for _, f := range fields {
		if err := w.value(f.key); err != nil {
			return err
		}
		w.buf.WriteByte(':')
		if err := w.value(f.value); err != nil {
			return err
		}
		w.buf.WriteByte(',')
	}
	w.buf.WriteString(`"verdict":`)
	if err := w.value(ans.Verdict); err != nil {
		return err
	}
	w.buf.WriteString(`,"trace":`)
	if err := w.value(ans.Trace); err != nil {
		return err
	}
	w.buf.WriteString("}\n")
	if _, err := w.w.Write(w.buf.Bytes()); err != nil {
		return exit(ExitTarget, fmt.Errorf("cannot write the answers: %w", err))
	}
	return nil
}

// value appends one value without the newline that the encoder ends it with.
func (w *answerWriter) value(v any) error {
	if err := w.enc.Encode(v); err != nil {
		return exit(ExitTarget, fmt.Errorf("cannot write the answers: %w", err))
	}
	w.buf.Truncate(w.buf.Len() - 1)
	return nil
}
