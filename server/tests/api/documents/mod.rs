//! The documents' own commands and programs, as they stand; only the server's address is put in.

mod advanced;
mod classic;
mod examples;
mod full_chatbot;
mod mvp;
mod native;
mod python;
mod shell;
