// Package articles asks the article service.
package articles

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Article is what is shown of one.
type Article struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// Client asks the article service.
type Client struct {
	base string
	http *http.Client
}

// New makes a client.
func New(base string) *Client {
	return &Client{base: base, http: &http.Client{Timeout: 400 * time.Millisecond}}
}

// Many asks for several articles, at most 100.
func (c *Client) Many(ctx context.Context, ids []string) ([]Article, error) {
	var found []Article
	err := c.get(ctx, "/articles?ids="+strings.Join(ids, ","), &found)
	return found, err
}

// One asks for one article.
func (c *Client) One(ctx context.Context, id string) (Article, error) {
	var found Article
	err := c.get(ctx, "/articles/"+id, &found)
	return found, err
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("articles answered %d", answer.StatusCode)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}
