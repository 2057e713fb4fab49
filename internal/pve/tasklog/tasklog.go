// Package tasklog reads the index of finished tasks that each Proxmox VE node keeps in /var/log/pve/tasks/index. It is
// pure: bytes in, values out.
package tasklog

import (
	"strconv"
	"strings"
	"time"
)

// Task is one finished task.
type Task struct {
	Node  string
	Start time.Time
	// Type is the kind of work: qmstart, vzdump, vncshell, aptupdate ...
	Type string
	ID   string // what it worked on, often a VMID
	// User is who started it: "root@pam", "alice@pve", "alice@pve!token".
	User   string
	Status string // OK, or the error; empty when the index does not say
}

// Automatic reports whether tasks of this type are started by the node itself, so that their user names no person:
// scheduled backups and updates, start and stop of the node, high availability, replication.
func (t Task) Automatic() bool {
	switch t.Type {
	case "vzdump", "aptupdate", "startall", "stopall", "suspendall", "migrateall", "replication", "acmerenew", "pbsprune",
		"hastart", "hastop", "hamigrate", "hashutdown", "garbage_collection", "pull", "diskinit":
		return true
	}
	return false
}

// Parse reads the index: lines "UPID:node:pid:pstart:starttime:type:id:user: endtime status", numbers in hexadecimal.
// It returns the tasks and how many lines were not of this form.
func Parse(b []byte) (tasks []Task, bad int) {
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		upid, rest, _ := strings.Cut(line, " ")
		f := strings.Split(upid, ":")
		if len(f) != 9 || f[0] != "UPID" || f[8] != "" {
			bad++
			continue
		}
		start, err := strconv.ParseInt(f[4], 16, 64)
		if err != nil || start < 0 || f[7] == "" {
			bad++
			continue
		}
		_, status, _ := strings.Cut(rest, " ")
		tasks = append(tasks, Task{f[1], time.Unix(start, 0).UTC(), f[5], f[6], f[7], status})
	}
	return tasks, bad
}
