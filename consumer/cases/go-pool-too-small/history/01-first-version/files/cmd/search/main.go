// The search service.
package main

import (
	"log"
	"net/http"
	"time"

	"shop.example/search/internal/index"
	"shop.example/search/internal/settings"
	"shop.example/search/internal/web"
)

func main() {
	s, err := settings.Load("config/search.toml")
	if err != nil {
		log.Fatal(err)
	}
	dial := func() (index.Session, error) { return index.Dial(s.IndexAddress, s.QueryTimeout) }
	server := &http.Server{Addr: s.Listen, Handler: web.NewHandler(s, dial), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}
