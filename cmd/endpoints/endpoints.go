// Package endpoints is the file by which `postroad up` tells scripts and the CLI
// where its nodes are.
package endpoints

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// FileName is the file's name in the data folder. It exists only while all
// nodes have been ready at least once.
const FileName = "endpoints.json"

// File is the content.
type File struct {
	Organization string `json:"organization"`
	// PID of `postroad up` itself.
	PID   int    `json:"pid"`
	Etcd  Etcd   `json:"etcd"`
	Admin Files  `json:"admin"`
	Nodes []Node `json:"nodes"`
}

// Etcd is the embedded directory server, a process of its own.
type Etcd struct {
	PID     int    `json:"pid"`
	Address string `json:"address"`
}

// Files are the administrator's certificate, for gRPC over TCP.
type Files struct {
	CA   string `json:"ca"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

// Node is one node process. Addresses are "host:port".
type Node struct {
	Name        string `json:"name"`
	Group       string `json:"group"`
	PID         int    `json:"pid"`
	SMTP        string `json:"smtp"`
	Gossip      string `json:"gossip"`
	Admin       string `json:"admin"`
	AdminSocket string `json:"admin_socket"`
	Metrics     string `json:"metrics"`
	Maildir     string `json:"maildir"`
	Config      string `json:"config"`
	Log         string `json:"log"`
}

// Node finds a node by name.
func (f *File) Node(name string) (Node, bool) {
	for _, n := range f.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// Read loads the file of a data folder.
func Read(data string) (*File, error) {
	b, err := os.ReadFile(filepath.Join(data, FileName))
	if err != nil {
		return nil, err
	}
	var f File
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(data, FileName), err)
	}
	return &f, nil
}

// Write replaces the file in one step: a script that waits for it never reads
// half of it.
func (f *File) Write(data string) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(data, FileName)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Remove takes the file away; it is no error if there is none.
func Remove(data string) error {
	if err := os.Remove(filepath.Join(data, FileName)); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
