package backup

import (
	"encoding/json"
	"errors"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/castellan-project/castellan/internal/host"
	"github.com/castellan-project/castellan/internal/inventory"
	"github.com/castellan-project/castellan/internal/pve/storagecfg"
	"github.com/castellan-project/castellan/internal/pve/tasklog"
)

// TaskIndex is the list of finished tasks of the node that is read.
const TaskIndex = "/var/log/pve/tasks/index"

// Needs lists what Assess asks for beyond the model and can know beforehand, for targets that fetch in rounds. The directory
// is that of the storage "local".
func Needs() []host.Need {
	return []host.Need{{Read: DefaultsFile}, {Read: TaskIndex}, {List: "/var/lib/vz/dump/*"}}
}

// evidence gathers the backups that are there, from the API or from directories of the node.
func (a *assessment) evidence() {
	if a.storeErr != nil {
		return
	}
	for i := range a.c.Storages.Value.Storages {
		s := &a.c.Storages.Value.Storages[i]
		if s.Disabled || !s.Holds("backup") {
			continue
		}
		nodes := a.nodesOf(s)
		if !s.Shared {
			for _, n := range nodes {
				a.look(s, n)
			}
			continue
		}
		for _, n := range nodes {
			if a.look(s, n) {
				for _, other := range nodes {
					a.looked[s.ID+"@"+other] = true
				}
				break
			}
		}
	}
	for _, list := range a.backups {
		slices.SortFunc(list, func(x, y Backup) int {
			if d := y.Time.Compare(x.Time); d != 0 {
				return d
			}
			return strings.Compare(x.Name, y.Name)
		})
	}
}

// nodesOf are the nodes that a storage is there on, that which is read first.
func (a *assessment) nodesOf(s *storagecfg.Storage) []string {
	var nodes []string
	for _, n := range a.c.Nodes {
		switch {
		case !s.On(n.Name):
		case n.Here:
			nodes = append([]string{n.Name}, nodes...)
		default:
			nodes = append(nodes, n.Name)
		}
	}
	return nodes
}

// look lists the backups of a storage as a node sees it, and reports whether that was possible.
func (a *assessment) look(s *storagecfg.Storage, node string) bool {
	answer, err := inventory.API(a.r, "/nodes/"+node+"/storage/"+s.ID+"/content")
	if errors.Is(err, host.ErrPending) {
		return true // one node is asked; what follows from the answer comes in the next round
	}
	if err == nil {
		found, err := parseContent(answer, s.ID, node)
		if err == nil {
			a.keep(found)
			a.looked[s.ID+"@"+node] = true
			return true
		}
	}
	if node != a.c.Here || s.DumpDir() == "" {
		return false
	}
	if _, err := a.r.Stat(s.DumpDir()); err != nil {
		return false // an absent directory may be one that was not copied, or not mounted
	}
	files, err := a.r.List(s.DumpDir() + "/*")
	if err != nil {
		return false
	}
	for _, f := range files {
		if b, ok := parseName(path.Base(f.Path)); ok && f.Type == host.Regular {
			b.Storage, b.Node, b.Size = s.ID, node, f.Size
			// The name has the time of the node, whose time zone is not known; the file was written a while after.
			if d := f.ModTime.Sub(b.Time); d >= -15*time.Hour && d <= 39*time.Hour {
				b.Time = f.ModTime.UTC()
			}
			a.keep([]Backup{b})
		}
	}
	a.looked[s.ID+"@"+node] = true
	return true
}

func (a *assessment) keep(found []Backup) {
	for _, b := range found {
		a.backups[b.Guest] = append(a.backups[b.Guest], b)
	}
}

var errContent = errors.New("the answer is no list of volumes")

// parseContent reads what the API says a storage holds: a list, or the list below "data".
func parseContent(answer []byte, storage, node string) ([]Backup, error) {
	type item struct {
		VolID        string          `json:"volid"`
		Content      string          `json:"content"`
		CTime        json.Number     `json:"ctime"`
		Size         json.Number     `json:"size"`
		VMID         json.Number     `json:"vmid"`
		Encrypted    json.RawMessage `json:"encrypted"`
		Protected    json.RawMessage `json:"protected"`
		Verification struct {
			State string `json:"state"`
		} `json:"verification"`
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(answer, &raw); err != nil {
		var wrapped struct {
			Data []json.RawMessage `json:"data"`
		}
		if json.Unmarshal(answer, &wrapped) != nil || wrapped.Data == nil {
			return nil, errContent
		}
		raw = wrapped.Data
	}
	var found []Backup
	for _, r := range raw {
		var it item
		if json.Unmarshal(r, &it) != nil || it.Content != "backup" {
			continue
		}
		id, err := strconv.Atoi(it.VMID.String())
		sec, timeErr := it.CTime.Int64()
		if err != nil || id < 1 || timeErr != nil || sec <= 0 {
			continue // backups of hosts, and what is no backup of PVE's
		}
		b := Backup{Guest: id, Storage: storage, Node: node, Time: time.Unix(sec, 0).UTC(), Verification: it.Verification.State,
			Encrypted: truth(it.Encrypted), Protected: truth(it.Protected)}
		b.Size, _ = it.Size.Int64()
		_, b.Name, _ = strings.Cut(it.VolID, ":")
		found = append(found, b)
	}
	return found, nil
}

// truth is Perl's truth of a JSON value: the API answers 1, "1" or a fingerprint.
func truth(raw json.RawMessage) bool {
	switch strings.Trim(string(raw), `"`) {
	case "", "0", "null", "false":
		return false
	}
	return true
}

// archive is the name of a backup in a directory (pve-storage, PVE/Storage/Plugin.pm, archive_info). Logs, notes and files
// that are being written end otherwise.
var archive = regexp.MustCompile(`^vzdump-(?:qemu|lxc|openvz)-([1-9]\d{0,8})-(\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d)\.(?:tgz|(?:tar|vma)(?:\.(?:gz|lzo|zst|bz2))?)$`)

func parseName(name string) (Backup, bool) {
	m := archive.FindStringSubmatch(name)
	if m == nil {
		return Backup{}, false
	}
	id, err := strconv.Atoi(m[1])
	t, timeErr := time.Parse("2006_01_02-15_04_05", m[2])
	if err != nil || timeErr != nil {
		return Backup{}, false
	}
	return Backup{Guest: id, Name: "backup/" + name, Time: t}, true
}

// last finds the last good backup of a guest and says whether it is too old.
func (a *assessment) last(out *Guest, g *inventory.Guest) {
	for _, b := range a.backups[g.ID] {
		if b.Verification == "failed" {
			out.Failed++
			continue
		}
		if out.Last == nil {
			out.Last = &b
		}
	}
	out.LastKnown = true
	for _, p := range out.Places {
		if !a.looked[p+"@"+g.Node] {
			out.LastKnown = false
		}
	}
	if out.Last != nil {
		out.AgeHours = hours(a.now.Sub(out.Last.Time))
	}
	if out.AllowedHours == 0 {
		return // no job runs: nothing is late
	}
	fresh := out.Last != nil && out.AgeHours <= out.AllowedHours
	switch {
	case fresh:
		out.LastKnown = true
	case out.LastKnown:
		out.Stale = true
	}
}

// tasks returns the backup tasks of the node that is read which did not end well, the last of each guest.
func (a *assessment) tasks() map[string]tasklog.Task {
	b, err := a.r.ReadFile(TaskIndex)
	if err != nil {
		return nil
	}
	tasks, _ := tasklog.Parse(b)
	last := map[string]tasklog.Task{}
	for _, t := range tasks {
		if t.Type == "vzdump" && !t.Start.Before(last[t.ID].Start) {
			last[t.ID] = t
		}
	}
	for id, t := range last {
		if t.Status == "OK" || t.Status == "" || strings.HasPrefix(t.Status, "WARNINGS") || a.now.Sub(t.Start) > maxTaskAge {
			delete(last, id)
		}
	}
	return last
}

// maxTaskAge is how long a failed task is news; a month covers monthly jobs.
const maxTaskAge = 32 * 24 * time.Hour
