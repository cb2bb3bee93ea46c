package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/postroad/postroad/node/trust"
)

// Config is what a node must know before it can read the directory: the file of
// `postroad node --config`. Everything else is in the directory.
type Config struct {
	// Name of the Server object that this node is.
	Name string `json:"name"`
	// Organization as in the certificates.
	Organization string `json:"organization"`
	// Data is the node's folder: spool, catalog, link state, tracking, mailboxes.
	// It belongs to one node; two nodes may not share it.
	Data string `json:"data"`
	// TLS is the node's identity in the cluster.
	TLS trust.Files `json:"tls"`
	// Etcd is where the directory is. Without endpoints the node lives from the
	// catalog on its disk.
	Etcd EtcdConfig `json:"etcd"`
	// Gossip and Admin are listening addresses, "host:port". Empty: the ports of
	// the Server object, on all addresses.
	Gossip string `json:"gossip,omitempty"`
	Admin  string `json:"admin,omitempty"`
	// AdminSocket is a unix socket for local administration, owner only.
	// Default: "admin.sock" in the data folder.
	AdminSocket string `json:"adminSocket,omitempty"`
	// Metrics is the address of /metrics, /healthz and /readyz; default
	// "127.0.0.1:9691", "off" for none.
	Metrics string `json:"metrics,omitempty"`
	// Pprof also serves /debug/pprof there; it shows memory, so loopback only.
	Pprof bool      `json:"pprof,omitempty"`
	Log   LogConfig `json:"log,omitempty"`
	// MinFree is the free space in octets that new mail never uses; default 128
	// MiB. New mail is refused with 452 from 512 MiB down, or from here if that is more.
	MinFree uint64 `json:"minFree,omitempty"`
	// DiskTimeout is how long one operation of the spool's disk may last, such as "90s" or
	// "10m": a disk that has not answered by then counts as dead, and the node ends (exit
	// code 74). At least 10 s; default 5m.
	DiskTimeout string `json:"diskTimeout,omitempty"`
}

// EtcdConfig is how to reach the directory. The node's own certificate
// authenticates it unless TLS says otherwise.
type EtcdConfig struct {
	Endpoints []string     `json:"endpoints"`
	TLS       *trust.Files `json:"tls,omitempty"`
}

// LogConfig: level "debug", "info" (default), "warn", "error"; format "json"
// (default) or "console".
type LogConfig struct {
	Level  string `json:"level,omitempty"`
	Format string `json:"format,omitempty"`
}

// metricsOff in place of an address: listen nowhere.
const metricsOff = "off"

// LoadConfig reads and checks a configuration file. Relative paths are relative
// to the file's folder.
func LoadConfig(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("node configuration: %w; name the file with --config", err)
	}
	var c Config
	if err := yaml.UnmarshalStrict(b, &c); err != nil {
		return Config{}, fmt.Errorf("node configuration %s: %w", path, inWords(err))
	}
	dir := filepath.Dir(path)
	paths := []*string{&c.Data, &c.TLS.CA, &c.TLS.Cert, &c.TLS.Key, &c.AdminSocket}
	if f := c.Etcd.TLS; f != nil {
		paths = append(paths, &f.CA, &f.Cert, &f.Key)
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	if err := c.check(); err != nil {
		return Config{}, fmt.Errorf("node configuration %s: %w", path, err)
	}
	return c, nil
}

// inWords leaves out how YAML is read (by way of JSON), and says what would be right.
func inWords(err error) error {
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("%s: is a %s, must be a %s", wrong.Field, wrong.Value, kindName(wrong.Type))
	}
	text := err.Error()
	for _, of := range []string{"error unmarshaling JSON: ", "while decoding JSON: ", "json: ", "error converting YAML to JSON: "} {
		text = strings.TrimPrefix(text, of)
	}
	if strings.HasPrefix(text, "unknown field") {
		text += "; the fields are " + strings.Join(fieldNames(reflect.TypeFor[Config](), ""), ", ")
	}
	return errors.New(text)
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Uint64:
		return "whole number, of octets"
	case reflect.Struct:
		return "group of " + strings.Join(fieldNames(t, ""), ", ")
	case reflect.Slice:
		return "list"
	case reflect.Bool:
		return "true or false"
	}
	return t.String()
}

// fieldNames are the fields of the file, as it writes them.
func fieldNames(t reflect.Type, prefix string) (all []string) {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		of := f.Type
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() == reflect.Struct {
			all = append(all, fieldNames(of, prefix+name+".")...)
			continue
		}
		all = append(all, prefix+name)
	}
	return all
}

func (c *Config) check() error {
	var errs []error
	for _, f := range []struct{ name, value, cure string }{
		{"name", c.Name, "the name of this host's Server object"},
		{"organization", c.Organization, "the organization in the certificates"},
		{"data", c.Data, "the folder for spool and catalog"},
		{"tls.ca", c.TLS.CA, "the cluster CA's certificate"},
		{"tls.cert", c.TLS.Cert, "made by `postroad ca issue`"},
		{"tls.key", c.TLS.Key, "made by `postroad ca issue`"},
	} {
		if f.value == "" {
			errs = append(errs, fmt.Errorf("%s: must be set (%s)", f.name, f.cure))
		}
	}
	if c.AdminSocket == "" {
		c.AdminSocket = filepath.Join(c.Data, "admin.sock")
	}
	if c.Metrics == "false" {
		c.Metrics = metricsOff // YAML reads a bare off as a boolean
	}
	if c.Metrics == "" {
		c.Metrics = "127.0.0.1:9691"
	}
	_, err := c.diskTimeout()
	errs = append(errs, c.checkAddresses(), c.Log.check(), err)
	return errors.Join(errs...)
}

// leastDiskTimeout: a healthy disk may take seconds for one operation.
const leastDiskTimeout = 10 * time.Second

// diskTimeout is 0 where nothing was said.
func (c *Config) diskTimeout() (time.Duration, error) {
	if c.DiskTimeout == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(c.DiskTimeout)
	if err != nil || d < leastDiskTimeout {
		return 0, fmt.Errorf("diskTimeout %q: must be a time of at least %v, such as 90s or 10m", c.DiskTimeout, leastDiskTimeout)
	}
	return d, nil
}

// checkAddresses finds what could only fail later, at the first use.
func (c *Config) checkAddresses() error {
	var errs []error
	for _, a := range []struct{ name, value string }{{"gossip", c.Gossip}, {"admin", c.Admin}, {"metrics", c.Metrics}} {
		if a.value == "" || a.name == "metrics" && a.value == metricsOff {
			continue
		}
		if _, _, err := net.SplitHostPort(a.value); err != nil {
			errs = append(errs, fmt.Errorf("%s %q: must be host:port", a.name, a.value))
		}
	}
	for _, e := range c.Etcd.Endpoints {
		if u, err := url.Parse(e); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			errs = append(errs, fmt.Errorf("etcd.endpoints %q: must be https://host:port", e))
		}
	}
	return errors.Join(errs...)
}
