// Package media fetches pictures from the media store.
package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"shop.example/avatars/internal/settings"
)

// ErrNone says that a customer has no picture.
var ErrNone = errors.New("media: no picture")

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
	timeout time.Duration
	client  *http.Client
}

// NewStore makes a client that keeps to the agreed number of connections.
func NewStore(s settings.Settings) *Store {
	transport := &http.Transport{
		MaxConnsPerHost:     s.MediaConnections,
		MaxIdleConnsPerHost: s.MediaConnections,
		IdleConnTimeout:     90 * time.Second,
	}
	return &Store{
		url:     s.MediaURL,
		largest: s.LargestBytes,
		timeout: s.MediaTimeout,
		client:  &http.Client{Transport: transport},
	}
}

// Avatar fetches a customer's picture.
func (s *Store) Avatar(ctx context.Context, customer string) (Picture, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/avatars/"+url.PathEscape(customer), nil)
	if err != nil {
		return Picture{}, err
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return Picture{}, fmt.Errorf("media: %w", err)
	}
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return Picture{}, ErrNone
	default:
		return Picture{}, fmt.Errorf("media: answered %d", answer.StatusCode)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, s.largest+1))
	if err != nil {
		return Picture{}, fmt.Errorf("media: %w", err)
	}
	if int64(len(data)) > s.largest {
		return Picture{}, ErrTooLarge
	}
	return Picture{Type: answer.Header.Get("Content-Type"), Data: data}, nil
}
