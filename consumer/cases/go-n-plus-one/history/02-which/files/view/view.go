// Package view shows a basket.
package view

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"

	"shop.example/basketview/articles"
)

// Handler serves GET /basket?ids=a,b.
func Handler(client *articles.Client) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids := strings.Split(r.URL.Query().Get("ids"), ",")
		shown := make([]articles.Article, 0, len(ids))
		for _, id := range ids {
			article, err := client.One(r.Context(), id)
			if err != nil {
				slog.ErrorContext(r.Context(), "no article", "id", id, "error", err)
				http.Error(w, "no articles", http.StatusBadGateway)
				return
			}
			shown = append(shown, article)
		}
		json.NewEncoder(w).Encode(shown)
	})
}
