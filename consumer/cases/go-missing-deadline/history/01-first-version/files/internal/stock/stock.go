// Package stock asks the stock service.
package stock

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"shop.example/checkout/internal/config"
)

// Client asks for levels.
type Client struct {
	url  string
	http *http.Client
}

// New makes a client that follows the configuration.
func New(upstream config.Upstream) *Client {
	timeout := time.Duration(upstream.TimeoutMS) * time.Millisecond
	return &Client{url: upstream.URL, http: &http.Client{Timeout: timeout}}
}

// Available says how many pieces can be sold.
func (c *Client) Available(ctx context.Context, sku string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/levels/"+url.PathEscape(sku), nil)
	if err != nil {
		return 0, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return 0, fmt.Errorf("stock: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("stock: answered %d", answer.StatusCode)
	}
	var level struct {
		Available int `json:"available"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&level); err != nil {
		return 0, fmt.Errorf("stock: %w", err)
	}
	return level.Available, nil
}
