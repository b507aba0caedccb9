module shop.example/avatars

go 1.22
