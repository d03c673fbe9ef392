package store

import (
	"encoding/json"
	"reflect"
	"slices"

	"github.com/keyturn/keyturn/internal/fault"
)

// parse makes a row of raw values. It is [table.scan] without an engine: unknown columns are passed over, and fields without
// a column stay empty.
func (t *table[T]) parse(columns []string, values []any) (T, error) {
	var row T
	v := reflect.ValueOf(&row).Elem()
	for _, c := range t.cols {
		i := slices.Index(columns, c.name)
		if i < 0 || i >= len(values) || values[i] == nil {
			continue
		}
		if !set(v.Field(c.field), c.json, values[i]) {
			return row, fault.New(fault.Invalid, "a row of %s has another type in column %s", t.name, c.name)
		}
	}
	return row, nil
}

func set(field reflect.Value, isJSON bool, value any) bool {
	switch value := value.(type) {
	case string:
		if isJSON {
			return json.Unmarshal([]byte(value), field.Addr().Interface()) == nil
		}
		if field.Kind() == reflect.String {
			field.SetString(value)
			return true
		}
	case int64:
		switch {
		case field.CanInt() && !field.OverflowInt(value):
			field.SetInt(value)
			return true
		case field.Kind() == reflect.Bool && (value == 0 || value == 1):
			field.SetBool(value == 1)
			return true
		}
	case []byte:
		if field.Kind() == reflect.Slice && field.Type().Elem().Kind() == reflect.Uint8 {
			field.SetBytes(value)
			return true
		}
	}
	return false
}

// raw gives the values of a row in the order of the columns.
func (t *table[T]) raw(columns []string, row *T) ([]any, error) {
	values, err := t.values(row, nil)
	if err != nil {
		return nil, err
	}
	out := make([]any, len(columns))
	for i, name := range columns {
		at := slices.IndexFunc(t.cols, func(c column) bool { return c.name == name })
		if at < 0 {
			return nil, fault.New(fault.Internal, "this program does not know column %s of %s", name, t.name)
		}
		out[i] = values[at]
	}
	return out, nil
}
