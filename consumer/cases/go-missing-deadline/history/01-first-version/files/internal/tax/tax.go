// Package tax asks the tax service, which the finance department runs.
package tax

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"shop.example/checkout/internal/config"
)

// Client asks for the tax of an amount.
type Client struct {
	url string
}

// New makes a client.
func New(upstream config.Upstream) *Client {
	return &Client{url: upstream.URL}
}

// Of is the tax in cents on an amount that is delivered to a country.
func (c *Client) Of(country string, cents int64) (int64, error) {
	query := url.Values{"country": {country}, "cents": {strconv.FormatInt(cents, 10)}}
	answer, err := http.Get(c.url + "/tax?" + query.Encode())
	if err != nil {
		return 0, fmt.Errorf("tax: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("tax: answered %d", answer.StatusCode)
	}
	var tax struct {
		Cents int64 `json:"cents"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&tax); err != nil {
		return 0, fmt.Errorf("tax: %w", err)
	}
	return tax.Cents, nil
}
