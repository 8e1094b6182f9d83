//! The pickle machine: the opcodes that torch uses for a state dict, protocols 2 to 5. It calls nothing: a name is
//! recognised or refused. Memory is bounded by the limits below whatever the pickle says.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::objects::{Global, Object, ObjectId, Span, Storage, Tensor, Value};
use crate::engine::weights::FormatError;

/// A published state dict's pickle is under 1 MB; this bounds all that is made from it.
const MAX_PICKLE_BYTES: usize = 8 << 20;
/// A published state dict makes about ten objects a tensor, 1575 tensors at most.
const MAX_OBJECTS: usize = 1 << 20;
/// The deepest stack seen is two values a tensor between MARK and SETITEMS.
const MAX_STACK: usize = 1 << 16;
/// Torch memoises every object and text once.
const MAX_MEMO: usize = 1 << 20;
/// No tensor of the family has more sides than a 3-D convolution's five.
const MAX_RANK: usize = 8;

/// What a pickle made: its result and the objects it refers to.
pub(super) struct Unpickled {
    objects: Vec<Object>,
    result: Value,
}

impl Unpickled {
    /// The pairs of the dictionary that the pickle is.
    pub(super) fn dict(&self) -> Option<&[(Value, Value)]> {
        match self.object(self.result)? {
            Object::Dict(pairs) => Some(pairs),
            Object::Tuple(_) | Object::List(_) | Object::Storage(_) | Object::Tensor(_) => None,
        }
    }

    pub(super) fn tensor(&self, value: Value) -> Option<&Tensor> {
        match self.object(value)? {
            Object::Tensor(tensor) => Some(tensor),
            Object::Tuple(_) | Object::List(_) | Object::Dict(_) | Object::Storage(_) => None,
        }
    }

    fn object(&self, value: Value) -> Option<&Object> {
        lookup(&self.objects, value)
    }
}

/// Runs a pickle to its STOP.
pub(super) fn unpickle(pickle: &[u8]) -> Result<Unpickled, FormatError> {
    if pickle.len() > MAX_PICKLE_BYTES {
        return Err(FormatError::Pickle { at: 0, reason: "larger than any state dict" });
    }
    let mut machine = Machine::new(pickle);
    loop {
        let at = machine.cursor.position();
        match machine.step() {
            Ok(None) => {}
            Ok(Some(result)) => return Ok(Unpickled { objects: machine.objects, result }),
            Err(Fault::Reason(reason)) => return Err(FormatError::Pickle { at, reason }),
            Err(Fault::Opcode(code)) => return Err(FormatError::Opcode { at, code }),
            Err(Fault::Global(name)) => return Err(FormatError::Global(name)),
        }
    }
}

struct Machine<'a> {
    pickle: &'a [u8],
    cursor: Cursor<'a>,
    stack: Vec<Value>,
    /// Heights of the stack at each open MARK.
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    objects: Vec<Object>,
}

enum Fault {
    Reason(&'static str),
    Opcode(u8),
    Global(String),
}

impl From<&'static str> for Fault {
    fn from(reason: &'static str) -> Self {
        Self::Reason(reason)
    }
}

const TRUNCATED: &str = "truncated";

impl<'a> Machine<'a> {
    fn new(pickle: &'a [u8]) -> Self {
        Self {
            pickle,
            cursor: Cursor::new(pickle),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            objects: Vec::new(),
        }
    }

    /// One opcode; the result once it is STOP.
    fn step(&mut self) -> Result<Option<Value>, Fault> {
        let code = self.cursor.u8().ok_or(TRUNCATED)?;
        match code {
            0x80 => self.protocol()?,
            0x95 => drop(self.cursor.u64().ok_or(TRUNCATED)?), // FRAME: only a hint
            b'.' => return self.pop().map(Some),
            b'0' => drop(self.pop()?),
            b'(' => self.mark()?,
            b'N' => self.push(Value::None)?,
            0x88 | 0x89 => self.push(Value::Bool)?,
            b'K' => self.int(1)?,
            b'M' => self.int(2)?,
            b'J' => self.int(4)?,
            0x8a => {
                let bytes = self.cursor.u8().ok_or(TRUNCATED)?;
                self.int_signed(usize::from(bytes))?;
            }
            b'G' => {
                self.cursor.take(8).ok_or(TRUNCATED)?;
                self.push(Value::Float)?;
            }
            b'X' => {
                let bytes = self.cursor.u32().ok_or(TRUNCATED)?;
                self.text(u64::from(bytes))?;
            }
            0x8c => {
                let bytes = self.cursor.u8().ok_or(TRUNCATED)?;
                self.text(u64::from(bytes))?;
            }
            0x8d => {
                let bytes = self.cursor.u64().ok_or(TRUNCATED)?;
                self.text(bytes)?;
            }
            b'c' => self.global()?,
            0x93 => self.stack_global()?,
            b'}' => self.make(Object::Dict(Vec::new()))?,
            b']' => self.make(Object::List(Vec::new()))?,
            b')' => self.make(Object::Tuple(Vec::new()))?,
            0x85..=0x87 => self.tuple(usize::from(code - 0x84))?,
            b't' => {
                let parts = self.since_mark()?;
                self.make(Object::Tuple(parts))?;
            }
            b'q' => {
                let key = self.cursor.u8().ok_or(TRUNCATED)?;
                self.memoise(u32::from(key))?;
            }
            b'r' => {
                let key = self.cursor.u32().ok_or(TRUNCATED)?;
                self.memoise(key)?;
            }
            0x94 => self.memoise(self.memo.len() as u32)?,
            b'h' => {
                let key = self.cursor.u8().ok_or(TRUNCATED)?;
                self.recall(u32::from(key))?;
            }
            b'j' => {
                let key = self.cursor.u32().ok_or(TRUNCATED)?;
                self.recall(key)?;
            }
            b'a' => self.append(1)?,
            b'e' => self.append_marked()?,
            b's' => self.set_item()?,
            b'u' => self.set_items()?,
            b'Q' => self.persistent()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            other => return Err(Fault::Opcode(other)),
        }
        Ok(None)
    }

    fn protocol(&mut self) -> Result<(), Fault> {
        match self.cursor.u8() {
            Some(2..=5) => Ok(()),
            _ => Err("not protocol 2 to 5".into()),
        }
    }

    fn int(&mut self, bytes: usize) -> Result<(), Fault> {
        if bytes == 4 {
            return self.int_signed(4);
        }
        let digits = self.cursor.take(bytes).ok_or(TRUNCATED)?;
        self.push(Value::Int(digits.iter().rev().fold(0, |number, digit| (number << 8) | i64::from(*digit))))
    }

    /// A little-endian two's complement number of up to eight bytes.
    fn int_signed(&mut self, bytes: usize) -> Result<(), Fault> {
        let digits = self.cursor.take(bytes).ok_or(TRUNCATED)?;
        if digits.len() > 8 {
            return Err("a number of more than 64 bits".into());
        }
        let fill = if digits.last().is_some_and(|top| *top >= 0x80) { 0xff } else { 0 };
        let mut wide = [fill; 8];
        wide[..digits.len()].copy_from_slice(digits);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    fn text(&mut self, bytes: u64) -> Result<(), Fault> {
        let start = self.cursor.position();
        let text = usize::try_from(bytes).ok().and_then(|count| self.cursor.take(count)).ok_or(TRUNCATED)?;
        std::str::from_utf8(text).map_err(|_| "a text is not UTF-8")?;
        let span = Span::new(start..start + text.len()).ok_or("a text out of range")?;
        self.push(Value::Text(span))
    }

    fn global(&mut self) -> Result<(), Fault> {
        let module = self.cursor.line().ok_or(TRUNCATED)?;
        let name = self.cursor.line().ok_or(TRUNCATED)?;
        self.push_global(&String::from_utf8_lossy(module), &String::from_utf8_lossy(name))
    }

    fn stack_global(&mut self) -> Result<(), Fault> {
        let (Value::Text(name), Value::Text(module)) = (self.pop()?, self.pop()?) else {
            return Err("a global without a name".into());
        };
        self.push_global(module.text(self.pickle), name.text(self.pickle))
    }

    fn push_global(&mut self, module: &str, name: &str) -> Result<(), Fault> {
        match Global::named(module, name) {
            Some(global) => self.push(Value::Global(global)),
            None => Err(Fault::Global(format!("{module}.{name}").chars().take(MAX_NAME_CHARS).collect())),
        }
    }

    fn tuple(&mut self, parts: usize) -> Result<(), Fault> {
        let from = self.stack.len().checked_sub(parts).filter(|from| *from >= self.floor());
        let parts = self.stack.split_off(from.ok_or("the stack is empty")?);
        self.make(Object::Tuple(parts))
    }

    fn append(&mut self, count: usize) -> Result<(), Fault> {
        let from = self.stack.len().checked_sub(count).filter(|from| *from >= self.floor());
        let parts = self.stack.split_off(from.ok_or("the stack is empty")?);
        let list = *self.stack.last().ok_or("the stack is empty")?;
        match lookup_mut(&mut self.objects, list) {
            Some(Object::List(items)) => items.extend(parts),
            _ => return Err("appending to what is not a list".into()),
        }
        Ok(())
    }

    fn append_marked(&mut self) -> Result<(), Fault> {
        let count = self.stack.len() - self.marks.pop().ok_or("no mark")?;
        self.append(count)
    }

    fn set_item(&mut self) -> Result<(), Fault> {
        let (value, key) = (self.pop()?, self.pop()?);
        self.insert(&[key, value])
    }

    fn set_items(&mut self) -> Result<(), Fault> {
        let parts = self.since_mark()?;
        self.insert(&parts)
    }

    fn insert(&mut self, parts: &[Value]) -> Result<(), Fault> {
        let dict = *self.stack.last().ok_or("the stack is empty")?;
        let Some(Object::Dict(pairs)) = lookup_mut(&mut self.objects, dict) else {
            return Err("setting an item of what is not a dictionary".into());
        };
        let (whole, rest) = parts.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a key without a value".into());
        }
        pairs.extend(whole.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    /// A reference to a storage: `("storage", class, key, location, elements)`. The location is ignored.
    fn persistent(&mut self) -> Result<(), Fault> {
        let id = self.pop()?;
        let storage = match self.parts(id) {
            Some(
                [
                    Value::Text(kind),
                    Value::Global(Global::Storage(element)),
                    Value::Text(key),
                    _,
                    Value::Int(count),
                ],
            ) if kind.text(self.pickle) == "storage" => {
                let elements = usize::try_from(*count).map_err(|_| "a storage of negative size")?;
                Storage { element: *element, key: *key, elements }
            }
            _ => return Err("a persistent id that is not a storage".into()),
        };
        self.make(Object::Storage(storage))
    }

    fn reduce(&mut self) -> Result<(), Fault> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Value::Global(callee) = callee else { return Err("calling what is not a function".into()) };
        let arguments = self.parts(arguments).ok_or("arguments that are not a tuple")?;
        match callee {
            Global::OrderedDict if arguments.is_empty() => self.make(Object::Dict(Vec::new())),
            Global::OrderedDict => Err("an ordered dictionary with arguments".into()),
            Global::RebuildTensor => {
                let tensor = self.rebuild(arguments)?;
                self.make(Object::Tensor(Box::new(tensor)))
            }
            Global::RebuildParameter => match arguments.first() {
                Some(value) if matches!(lookup(&self.objects, *value), Some(Object::Tensor(_))) => {
                    self.push(*value)
                }
                _ => Err("a parameter without a tensor".into()),
            },
            Global::Storage(_) => Err("calling a storage class".into()),
        }
    }

    /// `(storage, offset, shape, stride, requires_grad, hooks, …)`.
    fn rebuild(&self, arguments: &[Value]) -> Result<Tensor, Fault> {
        let [storage, Value::Int(offset), shape, stride, ..] = arguments else {
            return Err("a tensor without shape and stride".into());
        };
        let Some(Object::Storage(storage)) = lookup(&self.objects, *storage) else {
            return Err("a tensor without a storage".into());
        };
        let numbers = |value: Value| -> Result<Vec<usize>, Fault> {
            let parts =
                self.parts(value).filter(|parts| parts.len() <= MAX_RANK).ok_or("a shape that is not one")?;
            parts
                .iter()
                .map(|part| whole_number(*part).ok_or(Fault::Reason("a shape that is not one")))
                .collect()
        };
        let offset = usize::try_from(*offset).map_err(|_| "a negative offset")?;
        let (shape, stride) = (numbers(*shape)?, numbers(*stride)?);
        if shape.len() != stride.len() {
            return Err("shape and stride of different rank".into());
        }
        Ok(Tensor { storage: *storage, offset, shape, stride })
    }

    /// State of an ordered dictionary (torch keeps version numbers there): checked and dropped.
    fn build(&mut self) -> Result<(), Fault> {
        self.pop()?;
        let target = *self.stack.last().ok_or("the stack is empty")?;
        match lookup(&self.objects, target) {
            Some(Object::Dict(_)) => Ok(()),
            _ => Err("state for what is not a dictionary".into()),
        }
    }

    fn mark(&mut self) -> Result<(), Fault> {
        if self.marks.len() >= MAX_STACK {
            return Err("too many marks".into());
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, Fault> {
        let from = self.marks.pop().ok_or("no mark")?;
        Ok(self.stack.split_off(from))
    }

    fn memoise(&mut self, key: u32) -> Result<(), Fault> {
        let value = *self.stack.last().ok_or("the stack is empty")?;
        self.memo.insert(key, value);
        if self.memo.len() > MAX_MEMO { Err("too many memo entries".into()) } else { Ok(()) }
    }

    fn recall(&mut self, key: u32) -> Result<(), Fault> {
        let value = *self.memo.get(&key).ok_or("an unknown memo entry")?;
        self.push(value)
    }

    fn make(&mut self, object: Object) -> Result<(), Fault> {
        if self.objects.len() >= MAX_OBJECTS {
            return Err("too many objects".into());
        }
        let id = ObjectId(self.objects.len() as u32);
        self.objects.push(object);
        self.push(Value::Object(id))
    }

    fn push(&mut self, value: Value) -> Result<(), Fault> {
        if self.stack.len() >= MAX_STACK {
            return Err("the stack is too deep".into());
        }
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, Fault> {
        let open = self.stack.len() > self.floor();
        let value = if open { self.stack.pop() } else { None };
        Ok(value.ok_or("the stack is empty")?)
    }

    /// Height under which values belong to an outer mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn parts(&self, value: Value) -> Option<&[Value]> {
        match lookup(&self.objects, value)? {
            Object::Tuple(parts) => Some(parts),
            Object::List(_) | Object::Dict(_) | Object::Storage(_) | Object::Tensor(_) => None,
        }
    }
}

/// A refused name is shown up to this length.
const MAX_NAME_CHARS: usize = 120;

fn whole_number(value: Value) -> Option<usize> {
    let Value::Int(number) = value else { return None };
    usize::try_from(number).ok()
}

fn lookup(objects: &[Object], value: Value) -> Option<&Object> {
    let Value::Object(ObjectId(id)) = value else { return None };
    objects.get(id as usize)
}

fn lookup_mut(objects: &mut [Object], value: Value) -> Option<&mut Object> {
    let Value::Object(ObjectId(id)) = value else { return None };
    objects.get_mut(id as usize)
}
