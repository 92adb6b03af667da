//! The HTTP surfaces: each translates to one call of the application and back, and holds no rule of its own.

pub mod advanced;
pub mod classic;
pub mod full_chatbot;
pub mod mvp;
pub mod native;
pub mod openai;
