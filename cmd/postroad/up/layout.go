package up

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"

	"github.com/postroad/postroad/node/trust"
)

// layout says where things lie below the data folder.
type layout string

func (l layout) lock() string         { return filepath.Join(string(l), "lock") }
func (l layout) processes() string    { return filepath.Join(string(l), "processes") }
func (l layout) authority() string    { return filepath.Join(string(l), "ca") }
func (l layout) etcd() string         { return filepath.Join(string(l), "etcd") }
func (l layout) organization() string { return filepath.Join(string(l), "organization.yaml") }
func (l layout) node(name string) string {
	return filepath.Join(string(l), "nodes", name)
}
func (l layout) maildir(name string) string { return filepath.Join(l.node(name), "maildir") }
func (l layout) config(name string) string  { return filepath.Join(l.node(name), "node.yaml") }
func (l layout) log(name string) string     { return filepath.Join(string(l), "log", name+".log") }

// identity names the certificate files of a node, of etcd or of the operator.
func (l layout) identity(name string) trust.Files {
	dir := filepath.Join(l.authority(), name)
	return trust.Files{
		CA:   filepath.Join(l.authority(), trust.AuthorityCert),
		Cert: dir + ".crt",
		Key:  dir + ".key",
	}
}

// maxSocketPath is the room for a path in a unix socket address on Linux.
const maxSocketPath = 107

// socket is the node's admin socket. A data folder with a long path gets its
// sockets in a short one below the system's temporary folder.
func (l layout) socket(name string) string {
	p := filepath.Join(string(l), "run", name+".sock")
	if len(p) <= maxSocketPath {
		return p
	}
	sum := sha256.Sum256([]byte(l))
	return filepath.Join(os.TempDir(), "postroad-"+hex.EncodeToString(sum[:6]), name+".sock")
}
