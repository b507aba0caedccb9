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
		shown, err := client.Many(r.Context(), ids)
		if err != nil {
			slog.ErrorContext(r.Context(), "no articles", "error", err)
			http.Error(w, "no articles", http.StatusBadGateway)
			return
		}
		json.NewEncoder(w).Encode(shown)
	})
}
