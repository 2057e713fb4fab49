package posture

// Estate is the configuration of the cluster as it was read, without secrets: what the questions of `castellan pve` are
// answered from when a bundle is asked. Facts say what follows from these files; this keeps the files themselves.
type Estate struct {
	// Files are contents by path. Values of settings that hold secrets are replaced; files that hold nothing else are
	// left out.
	Files map[string]string `json:"files,omitempty"`
	// Dirs are the directories of nodes.
	Dirs []string `json:"dirs,omitempty"`
	// Answers are what the API said, by name of the question (pvesh-cluster-resources).
	Answers map[string]string `json:"answers,omitempty"`
	// Unread are the files that could not be read, with the code of the problem (see Problem).
	Unread map[string]string `json:"unread,omitempty"`
}
