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
//	internal/change      Change, Draft, Plan, Transaction: what would be done, done, and taken back; the journal
//	  kinds              one kind of change per file: sshd, sysctl, unit, pvefirewall, guest, vmx ...
//	  lockout            would the operator still get in? one guard per file
//	  keeper             systemd owns the deadline on the host
//	  deputy             another node of the cluster holds the deadline too
//	  session            who acts, over which connection, and whether it is a new one
//	internal/inventory   the model of a cluster: nodes, guests, principals, firewall, storage, networks
//	  rbac               who may do what, and through which group, pool, token or role
//	  filter             which packet gets through, for both firewalls; reach (over sets of packets) and lint stand on it
//	  backup             which guest and volume is covered, and how old its last backup is
//	  topology           how the network looks, drawn
//	  apitree            the answers of the API in the form of PVE's files
//	internal/pvetest     an API server that behaves, over a directory tree, for tests; vsphere/vctest: a vCenter;
//	                     host/hosttest: trees of files, and what every reader keeps. Only tests import rooms of this name
//	internal/expr        the expression environment of controls: CEL over typed values, three-valued
//	internal/debian      formats of Debian and its daemons, one package each, pure
//	internal/pve         formats of Proxmox VE, one package each, pure; client and apischema: its API
//	internal/netset      sets of packets: addresses, ports, boxes of them; mathematics only
//	internal/vmx         .vmx files, lossless; vsphere: the API, linked by cli alone
//	internal/conffile    what line-based configuration of different programs has in common; lossless edits
//	internal/host        the only door to a machine: read, list, stat, run, look, put; local, directory, SSH
//	internal/archtest    the rules below as a test
//	lab                  real test hosts and what they must show
//	examples             sample hosts and a sample estate for make demo
//	docs                 the manual by task, decisions, the threat model
//
// A scan flows one way:
//
//	target -> host.Reader -> collect -> posture.Facts -> posture.Judge (controls, waivers, attestations) -> Report -> report
//
// and so does a question about a cluster:
//
//	target -> host.Reader -> internal/pve/<format> -> inventory.Cluster -> rbac, filter, backup, topology -> cli/pve_<question>.go
//	                                                                       \-> collect/estate_<subject>.go -> posture.Facts
//
// and a repair:
//
//	Finding -> posture.Judge.Changes -> change.Change -> Kind.Draft on a Draft -> Plan (steps, diffs, verdicts of the guards, digest)
//	Plan -> Planner.Redraft on the host -> Engine.Apply (journal, keeper, host.Machine.Put ...) -> awaiting-confirm -> Confirm | Revert | Recover
//
// Rooms import lower layers only (cmd, cli, posture, change and pvetest, inventory, then expr, debian and pve, then host, netset, conffile and catalogue); inside a room a
// child imports its ancestors, never a sibling. Programs are run in internal/host alone; the clock and randomness come
// from cli. Lists are explicit: collect.All(), report.Formats(); nothing registers itself.
//
// Where is ...? A judgement: catalogue/<group>/<ID>.yaml. A value in it: internal/posture/facts_<subject>.go, filled by
// internal/posture/collect/<subject>.go, parsed by internal/debian/<format> or internal/pve/<format>. What a repair does: internal/change/kinds/<kind>.go. A word on the screen: internal/posture/report
// or internal/cli/<verb>.go.
package castellan
