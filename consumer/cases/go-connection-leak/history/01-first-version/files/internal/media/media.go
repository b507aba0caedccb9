// Package media fetches pictures from the media store.
package media

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"shop.example/avatars/internal/settings"
)

// ErrTooLarge says that a picture exceeds the limit.
var ErrTooLarge = errors.New("media: picture is too large")

// Picture is an image as it lies in the store.
type Picture struct {
	Type string
	Data []byte
}

// Store is a client of the media store.
type Store struct {
	url     string
	largest int64
	client  *http.Client
}

// NewStore makes a client that keeps to the agreed number of connections.
func NewStore(s settings.Settings) *Store {
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: s.MediaTimeout}).DialContext,
		MaxConnsPerHost:       s.MediaConnections,
		MaxIdleConnsPerHost:   s.MediaConnections,
		IdleConnTimeout:       90 * time.Second,
		ResponseHeaderTimeout: s.MediaTimeout,
	}
	return &Store{
		url:     s.MediaURL,
		largest: s.LargestBytes,
		client:  &http.Client{Transport: transport},
	}
}

// Avatar fetches a customer's picture.
func (s *Store) Avatar(customer string) (Picture, error) {
	answer, err := s.client.Get(s.url + "/avatars/" + url.PathEscape(customer))
	if err != nil {
		return Picture{}, fmt.Errorf("media: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return Picture{}, fmt.Errorf("media: answered %d", answer.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, s.largest+1))
	if err != nil {
		return Picture{}, fmt.Errorf("media: %w", err)
	}
	if int64(len(data)) > s.largest {
		return Picture{}, ErrTooLarge
	}
	return Picture{Type: answer.Header.Get("Content-Type"), Data: data}, nil
}
