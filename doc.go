// Package castellan is the map of the source. The product is the program in cmd/castellan; everything else is
// internal, so that its shape can follow the idea and not a promised interface.
//
//	cmd/castellan        main: a few lines; testdata/script drives the real binary
//	catalogue            the controls as YAML, by subject, and the profiles: data, no logic
//	internal/cli         one file per verb: flags, one call, printed result, exit code
//	internal/posture     Fact, Control, Finding, Waiver, Score; evaluation is pure
//	  collect            one collector per subject: host to facts
//	  bundle             facts to a file and back; redaction
//	  report             findings to text, JSON, SARIF, JUnit, OSCAL, HTML
//	internal/expr        the expression environment of controls: CEL over typed values, three-valued
//	internal/debian      formats of Debian and its daemons, one package each, pure
//	internal/pve         formats of Proxmox VE, one package each, pure
//	internal/conffile    what line-based configuration of different programs has in common
//	internal/host        the only door to a machine: read, list, stat, run; local, directory, SSH
//	internal/archtest    the rules below as a test
//	lab                  real test hosts and what they must show
//	examples             sample hosts for make demo
//	docs                 the manual by task, decisions, the threat model
//
// A scan flows one way:
//
//	target -> host.Reader -> collect -> posture.Facts -> posture.Judge (controls, waivers, attestations) -> Report -> report
//
// Rooms import lower layers only (cmd, cli, posture, then expr, debian and pve, then host, conffile and catalogue); inside a room a
// child imports its ancestors, never a sibling. Programs are run in internal/host alone; the clock and randomness come
// from cli. Lists are explicit: collect.All(), report.Formats(); nothing registers itself.
//
// Where is ...? A judgement: catalogue/<group>/<ID>.yaml. A value in it: internal/posture/facts_<subject>.go, filled by
// internal/posture/collect/<subject>.go, parsed by internal/debian/<format>. A word on the screen: internal/posture/report
// or internal/cli/<verb>.go.
package castellan
