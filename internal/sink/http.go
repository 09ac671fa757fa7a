package sink

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Judge is the verdict on an HTTP answer: nil for 2xx, PermanentError for what the request itself is to blame for, and
// RetryableError for everything else. A refused credential is retryable, since the mend is a new secret and not a new event.
// The text names the status only; what a server writes in its body may repeat a secret.
func Judge(answer *http.Response, now time.Time) error {
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return nil
	}
	err := fmt.Errorf("the destination answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusGone,
		http.StatusLengthRequired, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity, http.StatusNotImplemented:
		return &PermanentError{err}
	}
	return &RetryableError{Err: err, After: retryAfter(answer.Header.Get("Retry-After"), now)}
}

// retryAfter reads the header in its two forms, seconds and a date. Zero if it says nothing, or the past.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil {
		return max(0, time.Duration(min(seconds, 1<<31-1))*time.Second)
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return max(0, at.Sub(now))
}

// Redact takes the address out of an error of net/http, which holds the whole URL with its path, query and user, all
// places where tokens live. The host stays, since without it nobody can find the mistake.
func Redact(err error) error {
	var failed *url.Error
	if !errors.As(err, &failed) {
		return err
	}
	host := "the destination"
	if address, parseErr := url.Parse(failed.URL); parseErr == nil && address.Host != "" {
		host = address.Host
	}
	return fmt.Errorf("cannot reach %s: %w", host, failed.Err)
}
