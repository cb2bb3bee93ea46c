package vserver

import (
	"crypto/tls"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

type certificateFiles struct{ cert, key string }

func filesOf(s *directoryv1.ServerTLS) []certificateFiles {
	var all []certificateFiles
	if s.GetCertificateFile() != "" {
		all = append(all, certificateFiles{s.GetCertificateFile(), s.GetKeyFile()})
	}
	for _, f := range s.GetCertificates() {
		all = append(all, certificateFiles{f.GetCertificateFile(), f.GetKeyFile()})
	}
	return all
}

// certificates are a virtual server's own, in the order in which they are
// written. They are read again when their files change.
type certificates struct {
	files []certificateFiles

	mu     sync.Mutex // of reading
	stamps []stamp
	loaded atomic.Pointer[[]tls.Certificate]
}

// stamp tells one content of a pair of files from another.
type stamp struct {
	certTime, keyTime time.Time
	certSize, keySize int64
}

func loadCertificates(files []certificateFiles) (*certificates, error) {
	c := &certificates{files: files}
	_, err := c.reload()
	if c.loaded.Load() == nil {
		return nil, err
	}
	return c, err
}

func stampOf(f certificateFiles) (stamp, error) {
	cert, err := os.Stat(f.cert)
	if err != nil {
		return stamp{}, err
	}
	key, err := os.Stat(f.key)
	if err != nil {
		return stamp{}, err
	}
	return stamp{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}, nil
}

// reload reads the files if they have changed since they were read. On an
// error, also that of a pair of which only one half is new yet, the certificates
// stay as they are, and the next call tries again.
func (c *certificates) reload() (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamps := make([]stamp, len(c.files))
	for i, f := range c.files {
		if stamps[i], err = stampOf(f); err != nil {
			return false, fmt.Errorf("tls: certificate %s with key %s: %w", f.cert, f.key, err)
		}
	}
	if c.loaded.Load() != nil && slices.Equal(stamps, c.stamps) {
		return false, nil
	}
	all := make([]tls.Certificate, len(c.files))
	for i, f := range c.files {
		if all[i], err = tls.LoadX509KeyPair(f.cert, f.key); err != nil {
			return false, fmt.Errorf("tls: certificate %s with key %s: %w", f.cert, f.key, err)
		}
	}
	c.stamps = stamps
	c.loaded.Store(&all)
	return true, nil
}

// invalid names the first certificate that is not valid now.
func (c *certificates) invalid(now time.Time) error {
	for i, cert := range *c.loaded.Load() {
		if cert.Leaf != nil && now.Before(cert.Leaf.NotBefore) {
			return fmt.Errorf("tls: certificate %s is not valid before %s; look at the clock, or get another one", c.files[i].cert, cert.Leaf.NotBefore.UTC().Format(time.DateTime))
		}
		if cert.Leaf != nil && now.After(cert.Leaf.NotAfter) {
			return fmt.Errorf("tls: certificate %s expired on %s; renew it", c.files[i].cert, cert.Leaf.NotAfter.UTC().Format(time.DateTime))
		}
	}
	return nil
}

// choose is the first certificate that is for the host the client names and
// that it can verify; else the first at all (RFC 6066 section 3 lets a server go on
// with a name it does not know).
func (c *certificates) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	all := *c.loaded.Load()
	if hello.ServerName != "" {
		for i := range all {
			if hello.SupportsCertificate(&all[i]) == nil {
				return &all[i]
			}
		}
	}
	return &all[0]
}
