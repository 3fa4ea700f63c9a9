//! A document as it is read: a map whose fields are taken out one by one.
//!
//! serde derives this too, with 70 kB of code: every field of every type is read in a place of its own, from
//! maps and from lists, and what has its name inside (`"reply": "status"`) is kept in yet another form
//! until the name is found. Here each kind of value is read in one place. What is wrong is said in serde's words.

use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Error, Map, Value};

/// The fields that nobody has taken yet.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct Document(Map<String, Value>);

/// What stands in a document of its own.
pub trait FromDocument: Sized {
    /// Takes its fields.
    ///
    /// # Errors
    /// One is missing, or is something else.
    fn take_from(document: &mut Document) -> Result<Self, Error>;
}

impl Document {
    /// Takes a field, if there is one of this name.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// A field that must be there, unless `T` may be nothing.
    ///
    /// # Errors
    /// It is missing, or no `T`.
    pub fn take<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T, Error> {
        match self.remove(name) {
            Some(value) => T::deserialize(value),
            None => T::deserialize(Value::Null).map_err(|_| Error::missing_field(name)),
        }
    }

    /// A field that may be left out.
    ///
    /// # Errors
    /// It is no `T`.
    pub fn take_or<T: DeserializeOwned>(&mut self, name: &str, otherwise: T) -> Result<T, Error> {
        self.remove(name).map_or(Ok(otherwise), T::deserialize)
    }

    /// A list of documents.
    ///
    /// # Errors
    /// It is missing, or something in it is wrong.
    pub fn list<T: FromDocument>(&mut self, name: &'static str) -> Result<Vec<T>, Error> {
        let mut list: Vec<Document> = self.take(name)?;
        list.iter_mut().map(T::take_from).collect()
    }

    /// That there are no fields but these.
    ///
    /// # Errors
    /// There is another one.
    pub fn only(&self, known: &'static [&'static str]) -> Result<(), Error> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(_) if known.is_empty() => Err(Error::custom("it has no fields")),
            Some(name) => Err(Error::unknown_field(name, known)),
        }
    }
}
