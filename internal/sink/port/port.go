// Package port is being written.
package port
