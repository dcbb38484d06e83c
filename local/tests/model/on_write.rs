//! Parts of the model that its copies share. A step tries several explanations, each on a copy of the model, and changes little of it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// A value that is copied when one of its owners changes it.
pub struct OnWrite<T>(Rc<T>);

impl<T> OnWrite<T> {
    /// True if both are the same value, and not only equal ones.
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: Clone + PartialEq> OnWrite<T> {
    /// Takes a value over, if it is another one.
    pub fn take_over(&mut self, value: &T) {
        if *self.0 != *value {
            self.0 = Rc::new(value.clone());
        }
    }
}

impl<T> Clone for OnWrite<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Default> Default for OnWrite<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<T> From<T> for OnWrite<T> {
    fn from(value: T) -> Self {
        Self(Rc::new(value))
    }
}

impl<T> Deref for OnWrite<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for OnWrite<T> {
    fn deref_mut(&mut self) -> &mut T {
        Rc::make_mut(&mut self.0)
    }
}

impl<'a, T> IntoIterator for &'a OnWrite<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (&**self).into_iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnWrite<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
