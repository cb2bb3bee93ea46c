package directory

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"

	"github.com/xdg-go/scram"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

const (
	// minIterations is the floor of RFC 7677 section 4.
	minIterations = 4096
	// iterations costs some milliseconds for each login with PLAIN.
	iterations = 10000
	saltSize   = 16
	keySize    = 32 // SHA-256
)

// HashPassword derives the keys that are stored instead of a password. It fails
// for passwords that SASLprep (RFC 4013) does not allow.
func HashPassword(password string) (*directoryv1.ScramKeys, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt) // never fails, says crypto/rand
	return newKeys(password, salt)
}

func newKeys(password string, salt []byte) (*directoryv1.ScramKeys, error) {
	if password == "" {
		return nil, errors.New("the password is empty")
	}
	stored, err := derive(password, salt, iterations)
	if err != nil {
		return nil, err
	}
	return &directoryv1.ScramKeys{
		Salt: salt, Iterations: iterations, StoredKey: stored.StoredKey, ServerKey: stored.ServerKey,
	}, nil
}

func derive(password string, salt []byte, iterations int) (scram.StoredCredentials, error) {
	// The user name takes no part in the keys (RFC 5802 section 3).
	client, err := scram.SHA256.NewClient("user", password, "")
	if err != nil {
		return scram.StoredCredentials{}, err
	}
	return client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: iterations})
}

// VerifyPassword says whether the password is the one behind the keys. It takes
// the same time for a wrong password and for missing keys, so that callers can
// pass nil for an unknown account and tell nobody which accounts exist.
func VerifyPassword(keys *directoryv1.ScramKeys, password string) bool {
	usable := usableKeys(keys)
	salt, iters, want := fixedSalt(), iterations, make([]byte, keySize)
	if usable {
		salt, iters, want = keys.GetSalt(), int(keys.GetIterations()), keys.GetStoredKey()
	}
	got, err := derive(password, salt, iters)
	return err == nil && usable && subtle.ConstantTimeCompare(got.StoredKey, want) == 1
}

func usableKeys(k *directoryv1.ScramKeys) bool {
	return len(k.GetSalt()) > 0 && k.GetIterations() >= minIterations &&
		len(k.GetStoredKey()) == keySize && len(k.GetServerKey()) == keySize
}

func fixedSalt() []byte { return make([]byte, saltSize) }
