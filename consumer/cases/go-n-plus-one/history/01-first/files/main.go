package main

import (
	"net/http"
	"os"

	"shop.example/basketview/articles"
	"shop.example/basketview/view"
)

func main() {
	http.ListenAndServe(":8080", view.Handler(articles.New(os.Getenv("ARTICLES_URL"))))
}
