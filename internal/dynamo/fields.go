package dynamo

import "time"

// fields goes through the attributes of a record, to write an item or to read one. So a
// record names each of its attributes once.
type fields struct {
	it   item
	from *reader // nil: written
}

// written is the item of a record.
func written[T any](at key, attributes func(*fields, *T), record T) item {
	f := fields{it: newItem(at)}
	attributes(&f, &record)
	return f.it
}

// readAs makes a record of an item.
func readAs[T any](it item, attributes func(*fields, *T)) (T, error) {
	var record T
	err := readInto(it, attributes, &record)
	return record, err
}

func readInto[T any](it item, attributes func(*fields, *T), record *T) error {
	f := fields{from: &reader{it: it}}
	attributes(&f, record)
	return f.from.err
}

func field[T any](f *fields, name string, v *T, write func(item, string, T), read func(*reader, string) T) {
	if f.from != nil {
		*v = read(f.from, name)
	} else {
		write(f.it, name, *v)
	}
}

func text[T ~string](f *fields, name string, v *T) {
	s := string(*v)
	field(f, name, &s, item.text, (*reader).text)
	*v = T(s)
}

func (f *fields) number(name string, v *int64)   { field(f, name, v, item.number, (*reader).number) }
func (f *fields) flag(name string, v *bool)      { field(f, name, v, item.flag, (*reader).flag) }
func (f *fields) bytes(name string, v *[]byte)   { field(f, name, v, item.bytes, (*reader).bytes) }
func (f *fields) texts(name string, v *[]string) { field(f, name, v, item.texts, (*reader).texts) }

func (f *fields) moment(name string, v *time.Time) {
	field(f, name, v, item.moment, (*reader).moment)
}

func (f *fields) dictionary(name string, v *map[string]string) {
	field(f, name, v, item.dictionary, (*reader).dictionary)
}
