package recording

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
)

// keyFileBytes bounds what is read of a key's file.
const keyFileBytes = 4096

// NewKey is a key that nobody knows.
func NewKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return key
}

// ReadKey reads a key from a file. White space around it is no part of it.
func ReadKey(path string) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the path is the user's
	if err != nil {
		return nil, fmt.Errorf("cannot read the key: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	data, err := io.ReadAll(io.LimitReader(file, keyFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the key: %w", err)
	}
	key := bytes.TrimSpace(data)
	if len(data) > keyFileBytes || len(key) < keyBytes {
		return nil, fmt.Errorf("%s holds no key of %d to %d bytes; make one with: openssl rand -hex 32 > %s", path, keyBytes, keyFileBytes, path)
	}
	return key, nil
}
