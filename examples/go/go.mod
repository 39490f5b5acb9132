module factor

go 1.22
